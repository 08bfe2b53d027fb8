"""Deleting rows of guarded tables, with evidence that outlives them and names nobody."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import uuid4

import orjson
from sqlalchemy import ColumnElement, Connection, Row, Table, delete, insert, select, tuple_

from consent_api import audit
from consent_api.audit import Actor, Entry
from consent_api.custody.outside import custody_of
from consent_api.tables import DELETIONS, PERMITS

_PAGE = 5_000
Reason = Literal["retention", "erasure"]


@dataclass(frozen=True)
class Order:
    """Why rows are deleted, by when they had to be, who does it and when."""

    reason: Reason
    due_at: datetime
    actor: Actor
    at: datetime


def delete_rows(connection: Connection, table: Table, chosen: ColumnElement[bool], order: Order, most: int | None = None) -> int:
    """Delete the `chosen` rows, or the first `most` of them, and write down what, how many, when and why; returns how many.

    The evidence has a keyed hash of the rows: whoever has the secret and the rows can show that these were deleted, and nobody
    can guess from it whose they were.
    """
    key = list(table.primary_key.columns)
    rows = select(table).where(chosen).order_by(*key).limit(most).execution_options(yield_per=_PAGE)
    rows_hmac, count, last = _digest(connection, connection.execute(rows))
    if last is None:
        return 0
    upto = tuple_(*key) <= tuple(last._mapping[column] for column in key)
    connection.execute(insert(PERMITS).values(name=table.name))
    connection.execute(delete(table).where(chosen, upto))
    connection.execute(delete(PERMITS))
    evidence = {"what": table.name, "reason": order.reason, "how_many": count, "rows_hmac": rows_hmac, "due_at": order.due_at}
    connection.execute(insert(DELETIONS).values(deletion_id=uuid4().hex, at=order.at, **evidence))
    audit.append(connection, order.actor, order.at, [Entry("rows.deleted", table.name, evidence)])
    return count


def _digest(connection: Connection, rows: Any) -> tuple[str, int, Row[Any] | None]:
    digest = hmac.new(custody_of(connection).secret, b"deleted rows", "sha256")
    count, last = 0, None
    for row in rows:
        digest.update(orjson.dumps(list(row), default=bytes.hex) + b"\n")
        count, last = count + 1, row
    return digest.hexdigest(), count, last


def in_portions(transaction: Callable[[], int], portion: int) -> int:
    """Repeat `transaction`, which deletes at most `portion` rows, until none is left; others write in between."""
    total = 0
    while (done := transaction()) == portion:
        total += done
    return total + done
