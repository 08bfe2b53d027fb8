"""The rows that serving looks up: made of the raw tables, and as they lie in the store."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import ibis
import numpy as np
import orjson
import pandas as pd
from ibis.expr.types import Table as Expression

from features.columns.models import FRAUD_CLIENT_COLUMNS, RECOMMENDATION_CLIENT_COLUMNS
from features.holdings import accepted_before, client_facts
from features.layouts import Layout, layout_of
from features.packed import PACKED
from features.sets import FEATURE_SETS, fraud_client, recommendation_client
from features.tables import TABLES
from features.windows import attach, moments_of


def newest_rows(tables: Mapping[str, Expression], as_of: datetime) -> dict[str, Expression]:
    """The rows that serving needs, one per client as known just before `as_of`, by online set.

    "income", "recommendation" and "fraud" hold the columns that depend on the client alone, of the clients with any event of
    the kind that the set looks at; "profile" holds every client's row with the products held. A raw table that was never
    ingested counts as empty; only `clients` must be there.

    Raises:
        KeyError: there is no clients table.
    """
    known = {name: tables[name] if name in tables else ibis.memtable([], schema=raw.schema) for name, raw in TABLES.items()}
    moment = ibis.timestamp(as_of.astimezone(UTC).replace(tzinfo=None) if as_of.tzinfo else as_of)
    clients = tables["clients"].select("client_code", as_of=moment.cast("timestamp(6)"))
    spenders = _active(clients, known, {"transactions": "date", "transfers": "date"})
    payers = _active(clients, known, {"sessions": "started_at", "payments": "ts"})
    recommended = [column.name for column in RECOMMENDATION_CLIENT_COLUMNS]
    judged = [column.name for column in FRAUD_CLIENT_COLUMNS]
    return {
        "income": FEATURE_SETS["income"].features(known, spenders),
        "recommendation": recommendation_client(known, spenders).select("client_code", "as_of", *recommended),
        "fraud": fraud_client(known, payers).select("client_code", "as_of", *judged),
        "profile": _profile(known, clients),
    }


def _active(clients: Expression, tables: Mapping[str, Expression], events: Mapping[str, str]) -> Expression:
    seen = [tables[name].select("client_code", at=tables[name][time]) for name, time in events.items()]
    active = ibis.union(*seen)
    return clients.semi_join(active, ["client_code", active["at"] < clients.as_of])


def _profile(tables: Mapping[str, Expression], clients: Expression) -> Expression:
    facts = attach(clients, client_facts(tables["clients"]), ["client_code"])
    named = attach(facts, tables["clients"].select("client_code", "name"), ["client_code"])
    held = accepted_before(tables["product_uptake"], moments_of(clients))
    names = held.group_by("client_code", "as_of").agg(holdings=held["product"].collect(distinct=True).sort())
    return attach(named, names)


def layout(frame: pd.DataFrame) -> Layout:
    """Names of the values of a frame as in `OnlineStore.write`."""
    return layout_of(tuple(name for name in frame.columns if name not in ("client_code", "as_of")))


def records(feature_set: str, frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows of a frame as the store keeps them: see `OnlineStore.write`."""
    moments = pd.to_datetime(frame["as_of"]).dt.to_pydatetime()
    texts = _packed(layout(frame), frame) if feature_set in PACKED else _as_json(frame, layout(frame).names)
    for code, moment, text in zip(frame["client_code"], moments, texts, strict=True):
        yield {"client_code": code, "feature_set": feature_set, "as_of": moment, "values": text}


def _packed(names: Layout, frame: pd.DataFrame) -> Iterator[str]:
    try:
        matrix = frame[list(names.names)].to_numpy(dtype="<f8", na_value=np.nan)
    except (TypeError, ValueError):  # whose words quote the value
        raise TypeError("rows of this feature set are looked up as numbers, and some of their values are none") from None
    for row in np.ascontiguousarray(matrix):
        yield names.layout + row.tobytes().hex()


def _as_json(frame: pd.DataFrame, names: Sequence[str]) -> Iterator[str]:
    columns = zip(*(frame[name].tolist() for name in names), strict=True) if names else ((),) * len(frame)
    for values in columns:
        yield orjson.dumps(dict(zip(names, values, strict=True)), default=_plain).decode()


def _plain(value: object) -> object:
    """What orjson does not know: arrays of names, and pandas' own missing value."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if value is pd.NA:
        return None
    raise TypeError(f"{type(value).__name__} cannot be served: give numbers and text")
