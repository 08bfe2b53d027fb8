"""The newest rows of each use case: what a batch scores today."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import ibis
import pandas as pd
from ibis.expr.types import Table

from features.sets import FEATURE_SETS
from features.tables import PRODUCTS


class NothingIngested(Exception):
    """The lake has no events yet; ingest first."""


def newest_moment(tables: Mapping[str, Table]) -> datetime:
    """The first midnight (UTC) after the newest purchase or payment: the moment that "today" means for batch work.

    Raises:
        NothingIngested: neither purchases nor payments have been ingested.
    """
    moments = []
    for name, column in (("transactions", "date"), ("payments", "ts")):
        if name in tables:
            moments.append(tables[name][column].max().to_pandas())
    known = [pd.Timestamp(moment) for moment in moments if not pd.isna(moment)]
    if not known:
        raise NothingIngested("the lake has no purchases and no payments: ingest them first (make ingest)")
    return (max(known).normalize() + timedelta(days=1)).to_pydatetime()


def current_rows(use_case: str, tables: Mapping[str, Table], days: int) -> pd.DataFrame:
    """Feature rows to score now, with the entity's key and `client_code` where there is one.

    income: every client as of the newest moment; recommendation: every client with every product; prescoring: the
    applications of the last `days`; fraud: the payments of the last `days`.
    """
    as_of = newest_moment(tables)
    spine = _SPINES[use_case](tables, as_of, days)
    return FEATURE_SETS[use_case].features(tables, spine).to_pandas()


def _clients(tables: Mapping[str, Table], as_of: datetime, _days: int) -> Table:
    return tables["clients"].select("client_code", as_of=_literal(as_of))


def _offers(tables: Mapping[str, Table], as_of: datetime, days: int) -> Table:
    products = ibis.memtable({"product": list(PRODUCTS)})
    return _clients(tables, as_of, days).cross_join(products)


def _applications(tables: Mapping[str, Table], as_of: datetime, days: int) -> Table:
    recent = tables["applications"]
    recent = recent.filter(recent.created_at >= _literal(as_of - timedelta(days=days)))
    return recent.mutate(as_of=recent.created_at)


def _payments(tables: Mapping[str, Table], as_of: datetime, days: int) -> Table:
    recent = tables["payments"]
    recent = recent.filter(recent.ts >= _literal(as_of - timedelta(days=days)))
    return recent.mutate(as_of=recent.ts)


def _literal(moment: datetime) -> ibis.Value:
    return ibis.timestamp(moment)


_SPINES = {"income": _clients, "recommendation": _offers, "prescoring": _applications, "fraud": _payments}
