"""The three boosting libraries behind one interface: native categories and missing values, data binned once."""

from training.families.cat import CatBoost
from training.families.light import LightGBM
from training.families.problem import Family, Fitted, Problem, Report, Rows
from training.families.xgb import XGBoost

FAMILIES: dict[str, Family] = {family.name: family for family in (LightGBM(), CatBoost(), XGBoost())}
"""The families by name, in the order in which their strongest configurations are tried."""

__all__ = ["FAMILIES", "Family", "Fitted", "Problem", "Report", "Rows"]
