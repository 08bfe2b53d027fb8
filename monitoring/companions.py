"""What a use case's contract asks to be watched beside its metric."""

from collections.abc import Callable, Mapping
from datetime import datetime

import numpy as np
import pandas as pd
from fairlearn.metrics import demographic_parity_difference, demographic_parity_ratio
from sqlalchemy import Engine

from features.sets import FEATURE_SETS
from monitoring.outcomes import Outcomes, features_of_rows, labelled
from monitoring.quality import MOST_ROWS
from registry.scorer import Scorer
from settings import Settings

FEWEST_IN_GROUP = 50
"""Smaller groups are left out: their rates would be noise, and could tell of single persons."""
_AGES = (-np.inf, 30, 45, 60, np.inf)


def companions(
    engine: Engine,
    use_case: str,
    scores: pd.DataFrame,
    matured: tuple[datetime, datetime],
    scorer: Scorer,
    version: str,
    config: Settings,
) -> dict[str, float]:
    """Figures of a version by name, on its newest `scores` or on those of the `matured` window; what is unknown is left out.

    fraud: "alert rate" (share of payments judged high, which analysts review) and "review capacity" (from the settings).
    prescoring: "fairness gap" (greatest difference between groups in the rate of approval, over banks and protected columns)
    and "four-fifths ratio" (least rate / greatest rate). income: "coverage" (share of labels inside their 90 % interval).
    recommendation: "acceptance" (share of the recommended products with a label that were accepted).
    """
    if use_case in _OF_DECISIONS:
        return _OF_DECISIONS[use_case](scores, config) if len(scores) else {}
    outcomes = labelled(engine, use_case, version, *matured, MOST_ROWS)
    return _OF_LABELS[use_case](outcomes, scorer) if len(outcomes) else {}


def _alerts(frame: pd.DataFrame, config: Settings) -> dict[str, float]:
    decided = frame["decision_fraud"].dropna() if "decision_fraud" in frame else frame["score_id"].iloc[:0]
    known = {"review capacity": config.review_capacity}
    return known | {"alert rate": float((decided == "high").mean())} if len(decided) else known


def _fairness(frame: pd.DataFrame, _config: Settings) -> dict[str, float]:
    features = features_of_rows(frame)
    protected = [column.name for column in FEATURE_SETS["prescoring"].columns if column.protected and column.name in features]
    gaps, ratios = [], []
    for name in protected:
        group = _groups(name, features[name])
        for output in (name for name in frame.columns if str(name).startswith("decision_")):
            kept = group.notna() & frame[output].notna()
            if group[kept].nunique() > 1:
                approved = (frame[output][kept] == "approve").astype(int)
                gaps.append(demographic_parity_difference(approved, approved, sensitive_features=group[kept]))
                ratios.append(demographic_parity_ratio(approved, approved, sensitive_features=group[kept]))
    return {"fairness gap": float(max(gaps)), "four-fifths ratio": float(min(ratios))} if gaps else {}


def _groups(name: str, values: pd.Series) -> pd.Series:
    """The group of each row as text, ages in bands; missing where the group is too small."""
    groups = pd.cut(pd.to_numeric(values, errors="coerce"), list(_AGES), right=False) if "age" in name.split("_") else values
    texts = groups.astype("object").map(str, na_action="ignore")
    counts = texts.value_counts()
    return texts.where(texts.isin(counts.index[counts >= FEWEST_IN_GROUP]))


def _coverage(outcomes: Outcomes, scorer: Scorer) -> dict[str, float]:
    ((output, labels),) = outcomes.labels.items()
    low, high = scorer.interval(output, outcomes.features)
    return {"coverage": float(np.mean((low <= labels) & (labels <= high)))}


def _acceptance(outcomes: Outcomes, _scorer: Scorer) -> dict[str, float]:
    if "decision_accepted" not in outcomes.frame:
        return {}
    shown = outcomes.labels["accepted"][(outcomes.frame["decision_accepted"] == "recommended").to_numpy()]
    return {"acceptance": float(shown.mean())} if len(shown) else {}


_OF_DECISIONS: Mapping[str, Callable[[pd.DataFrame, Settings], dict[str, float]]] = {"fraud": _alerts, "prescoring": _fairness}
_OF_LABELS: Mapping[str, Callable[[Outcomes, Scorer], dict[str, float]]] = {"income": _coverage, "recommendation": _acceptance}
