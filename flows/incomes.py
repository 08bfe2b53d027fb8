"""The incomes that reports sort clients by: those which the champion of the income model predicts."""

from collections.abc import Mapping
from datetime import datetime

import ibis
import pandas as pd
from ibis.expr.types import Table

from features.sets import FEATURE_SETS
from registry.models import champion_version, load_champion
from settings import Settings

_ROWS = 50_000


def predicted_incomes(tables: Mapping[str, Table], as_of: datetime, config: Settings) -> Table | None:
    """client_code and income (tenge a month) of every client, from what was known just before `as_of`; None: no champion.

    They are made for the report and kept nowhere.
    """
    if "clients" not in tables or champion_version("income", config) is None:
        return None
    scorer = load_champion("income", config).scorer
    spine = tables["clients"].select("client_code", as_of=ibis.timestamp(as_of.replace(tzinfo=None)))
    features = FEATURE_SETS["income"].features(tables, spine).to_pandas()
    slices = (features.iloc[start : start + _ROWS] for start in range(0, len(features), _ROWS))
    predicted = [pd.DataFrame({"client_code": rows["client_code"], "income": scorer.predict(rows)["income"]}) for rows in slices]
    return ibis.memtable(pd.concat(predicted)) if predicted else None
