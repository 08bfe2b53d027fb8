"""The online rows of all clients in pages: what a batch reads is what serving reads, so that both say the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

import orjson
from sqlalchemy import Engine, Row, column, select, table

from features.last_month import LAST_MONTH

_ROWS = table("online_features", column("client_code"), column("feature_set"), column("values"))
_SETS = ("profile", "recommendation", LAST_MONTH)
_EVERYBODY = (
    select(_ROWS.c.client_code, _ROWS.c.feature_set, _ROWS.c["values"])
    # An expression instead of the column: by the index of feature_set the whole table would be sorted before the first row comes.
    .where((_ROWS.c.feature_set + "").in_(_SETS))
    .order_by(_ROWS.c.client_code)
)
_NAMES_AT_ONCE = 500


@dataclass(frozen=True)
class OnlineClient:
    """What serving knows about a client; None where a set has no row of it."""

    client_code: str
    profile: Mapping[str, Any]
    behaviour: Mapping[str, Any] | None
    month: Mapping[str, Any] | None


class OnlinePages:
    """All clients of the online database, in pages of `size`, as they were at the moment the reading began."""

    def __init__(self, engine: Engine, size: int = 500) -> None:
        self._size = size
        self._reader = engine.execution_options(read_only=True)

    def __iter__(self) -> Iterator[list[OnlineClient]]:
        with self._reader.connect() as connection:
            rows = connection.execution_options(yield_per=len(_SETS) * self._size).execute(_EVERYBODY)
            clients = (_client(code, group) for code, group in groupby(rows, itemgetter(0)))
            known = (client for client in clients if client is not None)
            while page := list(islice(known, self._size)):
                yield page

    def names(self, codes: Sequence[str]) -> dict[str, str | None]:
        """The names of clients by code, as the clients table has them."""
        found: dict[str, str | None] = {}
        query = select(_ROWS.c.client_code, _ROWS.c["values"]).where(_ROWS.c.feature_set == "profile")
        with self._reader.connect() as connection:
            for start in range(0, len(codes), _NAMES_AT_ONCE):
                some = query.where(_ROWS.c.client_code.in_(codes[start : start + _NAMES_AT_ONCE]))
                found |= {code: orjson.loads(values).get("name") for code, values in connection.execute(some)}
        return found


def _client(code: str, rows: Iterable[Row[tuple[str, str, str]]]) -> OnlineClient | None:
    """The rows of a client, None where it is not in the clients table."""
    sets = {name: orjson.loads(values) for _, name, values in rows}
    if "profile" not in sets:
        return None
    return OnlineClient(code, sets["profile"], sets.get("recommendation"), sets.get(LAST_MONTH))
