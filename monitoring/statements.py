"""The statement that adds rows to the journal on SQLite, and its parameters."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from monitoring.rows import JOURNAL, Record

COLUMNS = tuple(column.name for column in JOURNAL.c)
_TS = COLUMNS.index("ts")


@lru_cache(maxsize=64)
def insertion(rows: int, *, leave_known: bool = False) -> str:
    """INSERT of so many rows at once; with `leave_known` a row whose id is there already is left as it is; else an error."""
    row = f"({','.join('?' * len(COLUMNS))})"
    known = " ON CONFLICT (score_id) DO NOTHING" if leave_known else ""
    return f"INSERT INTO journal ({','.join(COLUMNS)}) VALUES {','.join([row] * rows)}{known}"  # noqa: S608 - our own names


def parameters(records: Sequence[Record]) -> list[Any]:
    """The values of all rows, one after the other; times as datetimes or in ISO 8601."""
    values = [value for record in records for value in record]
    values[_TS :: len(COLUMNS)] = [_text(record[_TS]) for record in records]
    return values


@lru_cache(maxsize=1024)
def _text(ts: datetime | str) -> str:
    """The time as SQLAlchemy stores it on SQLite: UTC, with microseconds, so that texts sort as times."""
    moment = datetime.fromisoformat(ts) if isinstance(ts, str) else ts
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
