"""Long answers a page at a time: each page says where the next one begins, however many rows are added meanwhile."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import Query
from sqlalchemy import ColumnElement, Select, tuple_

from database import UtcTime
from edge.errors import RequestRefused

MOST = 1000
_TOO_LARGE = 2**63
Limit = Annotated[int, Query(ge=1, le=MOST, description="Most rows of the answer.")]
After = Annotated[
    str | None, Query(max_length=500, pattern=r"^[A-Za-z0-9_=-]+$", description="`next` of the page before; empty = the first.")
]
_REFUSED = RequestRefused(422, "invalid_request", "after: is not the `next` of an earlier page of this answer", "after")


@dataclass(frozen=True)
class Page:
    """Rows in order, and where the next page begins; None on the last one."""

    rows: Sequence[Any]
    next: str | None


def page(execute: Any, statement: Select[Any], key: Sequence[ColumnElement[Any]], limit: int, after: str | None) -> Page:
    """The `limit` rows of `statement` that follow `after` in the order of `key`, which names each row once.

    Raises:
        RequestRefused: 422, `after` was not given out as `next`.
    """
    ordered = statement.order_by(*key).limit(limit + 1)
    if after is not None:
        ordered = ordered.where(tuple_(*key) > tuple_(*_read(after, key)))
    rows = execute(ordered).all()
    if len(rows) <= limit:
        return Page(rows, None)
    return Page(rows[:limit], _written([rows[limit - 1]._mapping[column] for column in key]))


def _written(values: list[Any]) -> str:
    return urlsafe_b64encode(orjson.dumps(values)).decode()


def _read(after: str, key: Sequence[ColumnElement[Any]]) -> list[Any]:
    try:
        values = orjson.loads(urlsafe_b64decode(after))
        if not isinstance(values, list) or len(values) != len(key):
            raise _REFUSED
        return [_value(value, column) for value, column in zip(values, key, strict=True)]
    except (ValueError, TypeError, OverflowError) as error:
        raise _REFUSED from error


def _value(value: Any, column: ColumnElement[Any]) -> Any:
    if isinstance(column.type, UtcTime):
        return datetime.fromisoformat(value).astimezone(UTC)
    if type(value) is not column.type.python_type or not _is_storable(value):
        raise _REFUSED
    return value


def _is_storable(value: Any) -> bool:
    """Whether every database can compare with it: numbers of 64 bits, texts without NUL."""
    return abs(value) < _TOO_LARGE if isinstance(value, int) else "\0" not in value
