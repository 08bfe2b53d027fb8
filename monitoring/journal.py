"""The journal: every score, durable before its response leaves, without one commit per request."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import numpy as np
import orjson
import pandas as pd
from sqlalchemy import ColumnElement, Connection, Engine, Select, func, insert, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from monitoring.rows import JOURNAL, OK, SCHEMA, JournalRow, UnfitRow

__all__ = ["Journal", "JournalClosed", "JournalFull", "JournalNotWritten", "JournalRow", "Sample", "UnfitRow"]

_EXPANDED = {"features": "feature_", "score": "prediction_", "decision": "decision_"}
_LOCK_KEY = 0x0B0A_0001  # names the creation of our tables among PostgreSQL's advisory locks
_IDS_PER_QUERY = 500


class JournalFull(Exception):
    """Too many rows wait for the database; answer 503 and let the caller try again."""


class JournalClosed(Exception):
    """The journal was closed: this process is shutting down."""


class JournalNotWritten(Exception):
    """The database refused the rows or is away: none of them may be answered."""


@dataclass(frozen=True)
class Sample:
    """At most so many rows of a window, as `Journal.window` lays them out, and how many the window holds."""

    frame: pd.DataFrame
    total: int


@dataclass(frozen=True)
class _Entry:
    """The rows of one caller and the news that they are durable."""

    rows: list[dict[str, Any]]
    done: Future[None] = field(default_factory=Future)


class Journal:
    """Keeps scores in a database opened with `database.open_database`.

    Concurrent callers share commits: one thread writes whatever has gathered while the commit before was under way, so a lone
    caller waits for one commit and a crowd for two at most. Rows of one call are kept together or not at all.

    Args:
        engine: SQLite (WAL, synchronous=FULL) or PostgreSQL; the table is made when absent.
        capacity: most rows that wait or are being written; a single larger call is let in when nothing else waits.
        patience: seconds a caller waits for room before `JournalFull`.
    """

    def __init__(self, engine: Engine, capacity: int = 50_000, patience: float = 10.0) -> None:
        self._engine = engine
        self._capacity = capacity
        self._patience = patience
        self._changed = threading.Condition()
        self._waiting: list[_Entry] = []
        self._rows = 0
        self._closed = False
        self.commits = 0
        _create_tables(engine)
        self._writer = threading.Thread(target=self._run, name="journal", daemon=True)
        self._writer.start()

    def write(self, rows: Sequence[JournalRow]) -> None:
        """Keep the rows, all in one transaction; they are durable when this returns.

        Raises:
            UnfitRow: a row cannot be stored (raised before anything is written).
            JournalFull, JournalClosed, JournalNotWritten: none of these rows was kept.
        """
        if not rows:
            return
        entry = _Entry([row.columns() for row in rows])
        with self._changed:
            if not self._changed.wait_for(lambda: self._admit(entry), self._patience):
                raise JournalFull(
                    f"{self._rows} scores wait for the journal's database (room for {self._capacity}): try again later"
                )
        entry.done.result()

    def window(self, use_case: str, since: datetime, until: datetime) -> pd.DataFrame:
        """Every row of a use case with since ≤ ts < until, oldest first.

        Columns: the journal's own fields, and the JSON fields expanded: `feature_<name>`, `prediction_<output>`,
        `decision_<output>` (prefixed, since a feature may be called like a field, e.g. status).
        """
        with self._reader() as connection:
            query = select(JOURNAL).where(*_within(use_case, since, until)).order_by(JOURNAL.c.ts, JOURNAL.c.score_id)
            return _frame(connection.execute(query).mappings().all())

    def sample(self, use_case: str, version: str, since: datetime, until: datetime, most: int, seed: int) -> Sample:
        """At most `most` of the scores a model version really gave (status ok, no simulations); the seed decides which."""
        real = JOURNAL.c.model_version == version, JOURNAL.c.status == OK, JOURNAL.c.is_simulation.is_(False)
        query = select(JOURNAL.c.score_id).where(*_within(use_case, since, until), *real).order_by(JOURNAL.c.score_id)
        with self._reader() as connection:
            ids = connection.execute(query).scalars().all()
            drawn = np.random.default_rng(seed).permutation(len(ids))[:most]
            chosen = [ids[position] for position in sorted(drawn)]
            rows = [row for some in _by_id(chosen) for row in connection.execute(some).mappings()]
        return Sample(_frame(rows), len(ids))

    def close(self) -> None:
        """Write what waits, then refuse; safe to call twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._writer.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _admit(self, entry: _Entry) -> bool:
        if self._closed:
            raise JournalClosed("the journal is closed: the service is shutting down, send the request again")
        if self._rows and self._rows + len(entry.rows) > self._capacity:
            return False
        self._rows += len(entry.rows)
        self._waiting.append(entry)
        self._changed.notify_all()
        return True

    def _run(self) -> None:
        while batch := self._take():
            self._keep(batch)
            with self._changed:
                self._rows -= sum(len(entry.rows) for entry in batch)
                self._changed.notify_all()

    def _take(self) -> list[_Entry]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            taken, self._waiting = self._waiting, []
            return taken

    def _keep(self, batch: list[_Entry]) -> None:
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(JOURNAL), [row for entry in batch for row in entry.rows])
            self.commits += 1
        except (IntegrityError, DataError) as error:
            if len(batch) == 1:
                _fail(batch, error)
            else:  # one caller's bad row must not cost the others theirs
                for entry in batch:
                    self._keep([entry])
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers must hear of it and the writer must go on
            _fail(batch, error)
        else:
            for entry in batch:
                entry.done.set_result(None)

    def _reader(self) -> Connection:
        return self._engine.connect().execution_options(read_only=True)


def _fail(batch: list[_Entry], error: Exception) -> None:
    # The driver's first line only: SQLAlchemy's own text, and PostgreSQL's second line, quote the values.
    reason = error.orig if isinstance(error, DBAPIError) and error.orig else error
    line = next(iter(str(reason).splitlines()), "")
    for entry in batch:
        entry.done.set_exception(
            JournalNotWritten(f"the journal's database did not take the scores ({type(reason).__name__}: {line}): none was kept")
        )


def _create_tables(engine: Engine) -> None:
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":  # several services start at once; SQLite queues them by itself
            connection.execute(select(func.pg_advisory_xact_lock(_LOCK_KEY)))
        SCHEMA.create_all(connection)


def _within(use_case: str, since: datetime, until: datetime) -> tuple[ColumnElement[bool], ...]:
    return JOURNAL.c.use_case == use_case, JOURNAL.c.ts >= since, JOURNAL.c.ts < until


def _by_id(ids: Sequence[str]) -> Iterator[Select[Any]]:
    for start in range(0, len(ids), _IDS_PER_QUERY):
        yield select(JOURNAL).where(JOURNAL.c.score_id.in_(ids[start : start + _IDS_PER_QUERY]))


def _frame(rows: Sequence[Any]) -> pd.DataFrame:
    own = [column.name for column in JOURNAL.c if column.name not in _EXPANDED]
    frame = pd.DataFrame([[row[name] for name in own] for row in rows], columns=own)
    parts = [frame]
    for field_name, prefix in _EXPANDED.items():
        values = [orjson.loads(row[field_name] or "{}") for row in rows]
        parts.append(pd.DataFrame.from_records(values, index=frame.index).add_prefix(prefix))
    return pd.concat(parts, axis=1)
