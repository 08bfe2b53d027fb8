"""A durable queue beside the journal: a task is accepted once, computed once, and its result and journal row commit together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

import orjson
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    delete,
    func,
    insert,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from clock import now
from database import UtcTime, create_tables, unsampled
from monitoring.rows import JOURNAL, JournalRow

State = Literal["waiting", "done", "failed"]
MOST_FAILURES = 3
"""How often a task may fail (by an error, not by the death of its worker) before it is given up."""

_METADATA = MetaData()
_TASKS = Table(
    "prescoring_tasks",
    _METADATA,
    Column("task_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("accepted_at", UtcTime, nullable=False),
    Column("claims", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("lease", Text),
    Column("lease_until", UtcTime),
    Column("result", Text),
    Column("error", Text),
    Column("finished_at", UtcTime),
)
unsampled(_TASKS, "payload", "result")
_WAITING = _TASKS.c.state == "waiting"
Index("prescoring_tasks_waiting", _TASKS.c.claims, _TASKS.c.accepted_at, sqlite_where=_WAITING, postgresql_where=_WAITING)
Index("prescoring_tasks_finished", _TASKS.c.finished_at)
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Task:
    """A task that this process holds until its lease runs out; `accepted_at` is the moment it was handed in."""

    task_id: str
    payload: Mapping[str, Any]
    accepted_at: datetime
    lease: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a task is: `result` is JSON once it is done, `error` a sentence once it is given up."""

    state: State
    result: str | None
    error: str | None


class TaskQueue:
    """Tasks in a database opened with `database.open_database`, shared by any number of threads, processes and machines.

    A worker takes a task under a lease. When the worker dies the lease runs out and another one takes the task; only the holder
    of the lease can finish it, in one transaction with the row of the journal, so that nothing is lost or there twice.
    Tasks whose worker died go behind those that nobody has tried yet: a form that kills its worker does not hold up the others.
    """

    def __init__(self, engine: Engine, lease_seconds: float = 30.0) -> None:
        self._engine = engine
        self._lease = timedelta(seconds=lease_seconds)
        self._reader = engine.execution_options(read_only=True)
        create_tables(engine, _METADATA)

    def put(self, task_id: str, payload: Mapping[str, Any]) -> Progress:
        """Accept a task; durable when this returns. One that is there stays as it is; one that was given up starts anew."""
        known = self.progress(task_id)
        if known is not None and known.state != "failed":
            return known
        with self._engine.begin() as connection:
            _accept(connection, task_id, payload)
        return Progress("waiting", None, None)

    def progress(self, task_id: str) -> Progress | None:
        """How far a task is; None when there is no such task."""
        wanted = select(_TASKS.c.state, _TASKS.c.result, _TASKS.c.error).where(_TASKS.c.task_id == task_id)
        with self._reader.connect() as connection:
            row = connection.execute(wanted).first()
        return None if row is None else Progress(*row)

    def take(self) -> Task | None:
        """The next task that nobody holds, now held by the caller; None when there is none."""
        if not self._anything_due():  # a look does not need the write lock
            return None
        with self._engine.begin() as connection:
            return self._claim(connection, None)

    def take_this(self, task_id: str, payload: Mapping[str, Any]) -> Task | None:
        """Accept a task and hold it at once; None when it is finished or somebody holds it."""
        if self._out_of_reach(task_id):  # whoever waits for it asks again and again
            return None
        with self._engine.begin() as connection:
            _accept(connection, task_id, payload)
            return self._claim(connection, task_id)

    def finish(self, task: Task, result: str, row: JournalRow) -> bool:
        """Keep the result and the journal row in one transaction; False, and neither is kept, when the lease was lost."""
        values = {"state": "done", "result": result, "finished_at": now(), "lease": None, "lease_until": None}
        with self._engine.begin() as connection:
            kept = connection.execute(update(_TASKS).where(_held(task)).values(values)).rowcount == 1
            if kept:
                connection.execute(insert(JOURNAL), row.columns())
        return kept

    def fail(self, task: Task, error: str) -> None:
        """Note a failed attempt: the task waits for the next one a while, or is given up with `error` after `MOST_FAILURES`."""
        with self._engine.begin() as connection:
            failures = connection.execute(select(_TASKS.c.failures).where(_held(task))).scalar()
            if failures is None:
                return
            if failures + 1 >= MOST_FAILURES:
                values = {"state": "failed", "error": error, "finished_at": now(), "lease": None, "lease_until": None}
            else:
                values = {"lease": None, "lease_until": now() + timedelta(seconds=1 + failures)}
            connection.execute(update(_TASKS).where(_held(task)).values(failures=failures + 1, **values))

    def forget(self, before: datetime) -> int:
        """Delete the tasks, with their forms, that were finished or given up before a moment; tells how many."""
        deleted = 0
        while True:
            old = select(_TASKS.c.task_id).where(_TASKS.c.finished_at < before).limit(_BATCH)
            with self._engine.begin() as connection:  # in batches, so that no request waits long for the lock
                some = connection.execute(delete(_TASKS).where(_TASKS.c.task_id.in_(old))).rowcount
            deleted += some
            if some < _BATCH:
                return deleted

    def waiting(self) -> int:
        """How many tasks are accepted and not finished."""
        with self._reader.connect() as connection:
            return connection.execute(select(func.count()).where(_WAITING)).scalar_one()

    def _anything_due(self) -> bool:
        with self._reader.connect() as connection:
            return connection.execute(select(_TASKS.c.task_id).where(_due()).limit(1)).first() is not None

    def _out_of_reach(self, task_id: str) -> bool:
        finished_or_held = (_TASKS.c.task_id == task_id) & (_TASKS.c.state != "failed") & not_(_due())
        with self._reader.connect() as connection:
            return connection.execute(select(_TASKS.c.task_id).where(finished_or_held)).first() is not None

    def _claim(self, connection: Connection, task_id: str | None) -> Task | None:
        wanted = (_due(),) if task_id is None else (_due(), _TASKS.c.task_id == task_id)
        order = (_TASKS.c.claims, _TASKS.c.accepted_at)
        one = select(_TASKS.c.task_id).where(*wanted).order_by(*order).limit(1).with_for_update(skip_locked=True)
        chosen = connection.execute(one).scalar()
        if chosen is None:
            return None
        lease = uuid4().hex
        held = {"lease": lease, "lease_until": now() + self._lease, "claims": _TASKS.c.claims + 1}
        taken = update(_TASKS).where(_TASKS.c.task_id == chosen).values(held).returning(_TASKS.c.payload, _TASKS.c.accepted_at)
        payload, accepted_at = connection.execute(taken).one()
        return Task(chosen, orjson.loads(payload), accepted_at, lease)


def _accept(connection: Connection, task_id: str, payload: Mapping[str, Any]) -> None:
    fresh = {"state": "waiting", "accepted_at": now(), "claims": 0, "failures": 0, "error": None, "finished_at": None}
    values = {"task_id": task_id, "payload": orjson.dumps(payload).decode(), **fresh}
    given_up = _TASKS.c.state == "failed"
    if connection.dialect.name == "postgresql":
        server = postgresql_insert(_TASKS).values(values)
        connection.execute(server.on_conflict_do_update(index_elements=["task_id"], set_=fresh, where=given_up))
    else:
        embedded = sqlite_insert(_TASKS).values(values)
        connection.execute(embedded.on_conflict_do_update(index_elements=["task_id"], set_=fresh, where=given_up))


def _due() -> ColumnElement[bool]:
    return _WAITING & or_(_TASKS.c.lease_until.is_(None), _TASKS.c.lease_until <= now())


def _held(task: Task) -> ColumnElement[bool]:
    return (_TASKS.c.task_id == task.task_id) & _WAITING & (_TASKS.c.lease == task.lease)
