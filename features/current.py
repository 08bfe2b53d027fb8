"""The newest rows of each use case: what a batch scores today."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import ibis
import pandas as pd
from ibis.expr.types import Table

from clock import now
from features.code_lists import PRODUCTS
from features.sets import FEATURE_SETS

_AHEAD = timedelta(days=1)
"""Further ahead of now no event can be, wherever it happened."""
_MISTAKEN = 0.001
"""At most this share of the events can be mistakes of their sources: a bank with more ahead of now lives by another calendar."""
_EVENTS = {"transactions": "date", "transfers": "date", "payments": "ts"}


class NothingIngested(Exception):
    """The lake has no events yet; ingest first."""


def newest_moment(tables: Mapping[str, Table]) -> datetime:
    """The first midnight (UTC) after the newest purchase, transfer or payment: the moment that "today" means for batch work.

    Some few that lie ahead of now are mistakes and do not count: one mistyped year would make every client's year an empty one.

    Raises:
        NothingIngested: neither purchases nor transfers nor payments have been ingested.
    """
    moments = [_newest(tables[name], column) for name, column in _EVENTS.items() if name in tables]
    known = [pd.Timestamp(moment) for moment in moments if not pd.isna(moment)]
    if not known:
        raise NothingIngested("the lake has no purchases, transfers or payments: ingest them first (make ingest)")
    return (max(known).normalize() + timedelta(days=1)).to_pydatetime()


def newest_full_month(transactions: Table) -> str:
    """The newest calendar month that the purchases cover to its end, like 2026-10.

    Transfers and payments may be newer: a month is not reported on before its purchases are there.

    Raises:
        NothingIngested: there are no purchases.
    """
    return f"{newest_moment({'transactions': transactions}).replace(day=1) - timedelta(days=1):%Y-%m}"


def _newest(events: Table, column: str) -> pd.Timestamp:
    """The newest moment of `column`, NaT without events; of few that lie ahead of now the newest of the others."""
    moment, until = events[column], _literal((now().astimezone(UTC) + _AHEAD).replace(tzinfo=None))
    found = events.aggregate(
        newest=moment.max(), plausible=moment.max(where=moment <= until), ahead=(moment > until).mean()
    ).to_pandas()
    few = found["ahead"].fillna(0)[0] <= _MISTAKEN
    return pd.Timestamp(found["plausible" if few else "newest"][0])


def current_rows(use_case: str, tables: Mapping[str, Table], days: int) -> pd.DataFrame:
    """Feature rows to score now, with the entity's key and `client_code` where there is one.

    income: every client as of the newest moment; recommendation: every client with every product; prescoring: the
    applications of the last `days`; fraud: the payments of the last `days`.

    Raises:
        NothingIngested: a table that the features are made of was never ingested.
    """
    as_of = newest_moment(tables)
    try:
        rows = FEATURE_SETS[use_case].features(tables, _SPINES[use_case](tables, as_of, days))
    except KeyError as error:
        raise NothingIngested(f"the lake has no table {error.args[0]}: ingest it first (make ingest)") from error
    return rows.to_pandas()


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
