"""Which scores a label belongs to."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, select

from monitoring.rows import JOURNAL, OK

AMOUNTS = "income"
"""The use case whose labels are amounts, and belong to a client and a month; those of the others are 0 or 1."""


@dataclass(frozen=True, slots=True)
class Target:
    """A score that was given out, and the names of what it predicts."""

    score_id: str
    ts: datetime
    use_case: str
    client_id: str | None
    outputs: tuple[str, ...]


def targets_by_id(connection: Connection, ids: Collection[str]) -> Mapping[str, Sequence[Target]]:
    """The scores with these ids, each alone."""
    return {target.score_id: [target] for target in _read(connection, JOURNAL.c.score_id.in_(ids))} if ids else {}


def targets_by_month(connection: Connection, asked: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Sequence[Target]]:
    """The incomes given for each (client, month such as 2026-05); simulations are none. A text that is no month has none."""
    found: dict[tuple[str, str], list[Target]] = {}
    journal = JOURNAL.c
    for month in {month for _, month in asked}:
        bounds = _bounds(month)
        if bounds is not None:
            within = journal.ts >= bounds[0], journal.ts < bounds[1], journal.is_simulation.is_(False)
            clients = [client for client, of in asked if of == month]
            for target in _read(connection, journal.use_case == AMOUNTS, *within, journal.client_id.in_(clients)):
                found.setdefault((str(target.client_id), month), []).append(target)
    return found


def _bounds(month: str) -> tuple[datetime, datetime] | None:
    try:
        begin = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
        return begin, begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
    except ValueError:
        return None


def _read(connection: Connection, *which: Any) -> list[Target]:
    journal = JOURNAL.c
    columns = journal.score_id, journal.ts, journal.use_case, journal.client_id, journal.score
    query = select(*columns).where(journal.status == OK, *which)
    return [
        Target(score_id, ts, use_case, client, tuple(orjson.loads(score or "{}")))
        for score_id, ts, use_case, client, score in connection.execute(query)
    ]
