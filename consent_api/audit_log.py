"""Looking things up in the audit log, and writing it out."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, select

from consent_api import audit
from consent_api.pages import Page, page
from consent_api.store import Store
from consent_api.tables import AUDIT
from edge.csv_text import csv_text

COLUMNS = tuple(column.name for column in AUDIT.c)
_PAGE = 2_000
_LINE = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS  # the names of columns are a kind of str


@dataclass(frozen=True)
class Filter:
    """Which rows: since a moment, before another, of an actor, an action, an object, a client (by code)."""

    since: datetime | None = None
    before: datetime | None = None
    actor: str | None = None
    action: str | None = None
    object: str | None = None
    client: str | None = None

    def conditions(self, connection: Connection) -> list[ColumnElement[bool]]:
        """What the rows have to fulfil; a client's code is looked for by its pseudonym."""
        exact = {"actor": self.actor, "action": self.action, "object": self.object}
        named = [AUDIT.c[name] == value for name, value in exact.items() if value is not None]
        if self.client is not None:
            named.append(AUDIT.c.object == audit.about_client(connection, self.client))
        if self.since is not None:
            named.append(AUDIT.c.at >= self.since)
        if self.before is not None:
            named.append(AUDIT.c.at < self.before)
        return named


def find(connection: Connection, chosen: Filter, limit: int, after: str | None) -> Page:
    """Rows in the order they were written.

    Raises:
        RequestRefused: 422, `after` is no page's `next`.
    """
    return page(connection.execute, select(AUDIT).where(*chosen.conditions(connection)), (AUDIT.c.sequence,), limit, after)


def export(store: Store, chosen: Filter, form: str, upto: int) -> Iterator[bytes]:
    """The rows up to number `upto` as "ndjson" or "csv", piece by piece; no transaction lasts longer than a piece."""
    if form == "csv":
        yield csv_text([COLUMNS])
    after: str | None = None
    while True:
        with store.reading() as connection:
            statement = select(AUDIT).where(AUDIT.c.sequence <= upto, *chosen.conditions(connection))
            found = page(connection.execute, statement, (AUDIT.c.sequence,), _PAGE, after)
        rows = [row._asdict() for row in found.rows]
        yield csv_text(list(row.values()) for row in rows) if form == "csv" else _lines(rows)
        if found.next is None:
            return
        after = found.next


def _lines(rows: list[dict[str, Any]]) -> bytes:
    parsed = ({**row, "detail": orjson.loads(row["detail"])} for row in rows)
    return b"".join(orjson.dumps(row, option=_LINE) for row in parsed)
