"""The audit log: append-only rows, each sealed with a hash over itself and the row before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import Connection, insert, select

from consent_api.tables import AUDIT

START = "0" * 64
"""What the first row is chained to."""
_SEALED = tuple(column.name for column in AUDIT.c if column.name != "hash")


@dataclass(frozen=True)
class Actor:
    """Who acts: the id of an API key with its role, or a flow; `request_id` ties the rows of one request together."""

    name: str
    role: str
    request_id: str = ""


@dataclass(frozen=True)
class Entry:
    """What happened to what; `detail` holds figures and reasons."""

    action: str
    object: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verification:
    """How many rows were read and the sequence number of the first that is not as it was written, if any.

    A chain alone cannot show that its newest rows were cut off, or that all of it was written anew.
    """

    rows: int
    first_bad: int | None = None


def append(connection: Connection, actor: Actor, at: datetime, entries: Sequence[Entry]) -> None:
    """Write one row per entry, in the caller's transaction, which has to be one of `Store.writing`."""
    head = connection.execute(select(AUDIT.c.sequence, AUDIT.c.hash).order_by(AUDIT.c.sequence.desc()).limit(1)).one_or_none()
    sequence, previous = (head.sequence, head.hash) if head else (0, START)
    rows = []
    for entry in entries:
        sequence += 1
        row = {
            "sequence": sequence,
            "at": at.astimezone(UTC),
            "request_id": actor.request_id,
            "actor": actor.name,
            "role": actor.role,
            "action": entry.action,
            "object": entry.object,
            "detail": orjson.dumps(dict(entry.detail)).decode(),
            "previous_hash": previous,
        }
        previous = row["hash"] = _seal(row)
        rows.append(row)
    if rows:
        connection.execute(insert(AUDIT), rows)


def verify(connection: Connection) -> Verification:
    """Read the whole chain and name the first row that was changed, removed or put in."""
    expected, previous, count = 1, START, 0
    rows = connection.execution_options(yield_per=5000).execute(select(AUDIT).order_by(AUDIT.c.sequence))
    for row in rows:
        if row.sequence != expected:
            return Verification(count, expected)
        if row.previous_hash != previous or row.hash != _seal(row._asdict()):
            return Verification(count, row.sequence)
        expected, previous, count = expected + 1, row.hash, count + 1
    return Verification(count)


def _seal(row: Mapping[str, Any]) -> str:
    return sha256(orjson.dumps([row[name] for name in _SEALED])).hexdigest()
