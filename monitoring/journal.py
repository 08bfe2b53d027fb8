"""The journal: every score, durable before its response leaves, without one commit per request."""

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import date, datetime
from functools import partial
from types import TracebackType
from typing import Any, Self

import pandas as pd
from prometheus_client import Gauge
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from monitoring import history
from monitoring.batches import JournalBatch
from monitoring.draining import reading
from monitoring.entries import Entry, tell_all, tell_here
from monitoring.history import Sample
from monitoring.insertion import writer_of
from monitoring.rows import JournalRow, Record, UnfitRow, create_tables

__all__ = ["Journal", "JournalBatch", "JournalClosed", "JournalFull", "JournalNotWritten", "JournalRow", "Sample", "UnfitRow"]

QUEUE = Gauge(
    "opora_journal_queue_rows", "Rows that wait for the journal's database or are being written.", multiprocess_mode="livesum"
)
logger = logging.getLogger("opora.journal")

_FEW = 500
_GATHER_SECONDS = 0.25
"""For so long rows gather in the spool before they are moved into the table."""
_RETRY_SECONDS = 2.0


class JournalFull(Exception):
    """Too many rows wait for the database; answer 503 and let the caller try again."""


class JournalClosed(Exception):
    """The journal was closed: this process is shutting down."""


class JournalNotWritten(Exception):
    """The database refused the rows or is away: none of them may be answered."""


class Journal:
    """Keeps scores in a database opened with `database.open_database`.

    Concurrent callers share commits: one thread writes whatever has gathered while the commit before was under way, so a lone
    caller waits for one commit and a crowd for two at most. Rows of one call are kept together or not at all.

    Args:
        engine: SQLite (WAL, synchronous=FULL) or PostgreSQL; the tables are made when absent.
        capacity: most rows that wait or are being written; a single larger call is let in when nothing else waits.
        patience: seconds a caller waits for room before `JournalFull`.

    Attributes:
        commits: transactions so far.
        pending: rows that wait or are being written.
    """

    def __init__(self, engine: Engine, capacity: int = 50_000, patience: float = 10.0) -> None:
        self._engine = engine
        self._capacity = capacity
        self._patience = patience
        self._changed = threading.Condition()
        self._waiting: list[Entry] = []
        self._gathered: dict[asyncio.AbstractEventLoop, list[Entry]] = {}  # what awaiting callers brought in this turn of a loop
        self._outside: list[Entry] = []  # awaiting callers for whom there is no room yet, in order
        self._layouts: set[str] = set()
        self._closed = False
        self.pending = 0
        self.commits = 0
        self._tidy_at = 0.0  # by `time.monotonic`
        create_tables(engine)
        self._database = writer_of(engine)
        self._writer = threading.Thread(target=self._run, name="journal", daemon=True)
        self._writer.start()

    def write(self, rows: Sequence[JournalRow] | JournalBatch) -> None:
        """Keep the rows, all in one transaction; they are durable when this returns.

        Raises:
            UnfitRow: a row cannot be stored (raised before anything is written).
            JournalFull, JournalClosed, JournalNotWritten: none of these rows was kept.
        """
        done: Future[None] = Future()
        entry = Entry(rows, done)
        if not entry.records:
            return
        with self._changed:
            if not self._changed.wait_for(lambda: self._admit(entry), self._patience):
                raise self._full()
        done.result()

    async def write_async(self, rows: Sequence[JournalRow] | JournalBatch) -> None:
        """`write` for a caller on an event loop, which runs on meanwhile; a cancelled caller's rows may still be kept."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        entry = Entry(rows, done, loop)
        if not entry.records:
            return
        gathered = self._gathered.get(loop)
        if gathered is None:
            self._gathered[loop] = [entry]
            loop.call_soon(self._hand_over, loop, 0)
        else:
            gathered.append(entry)
        try:
            await done
        except asyncio.CancelledError:
            self._withdraw(entry)
            raise

    def write_unawaited(self, rows: Sequence[JournalRow]) -> None:
        """`write` of rows with new ids for which no caller waits.

        On SQLite they take the spool and the next transaction that moves it: one of their own would hold up those who do wait.
        """
        if not self._spooled([row.record() for row in rows]):
            self.write(rows)

    def window(self, use_case: str, since: datetime, until: datetime) -> pd.DataFrame:
        """Every row of a use case with since ≤ ts < until, oldest first; columns as in `history.window`."""
        with self._reader() as connection:
            return history.window(connection, use_case, since, until)

    def sample(self, use_case: str, version: str, since: datetime, until: datetime, most: int, seed: int) -> Sample:
        """At most `most` of the scores a model version really gave (status ok, no simulations); the seed decides which."""
        with self._reader() as connection:
            return history.sample(connection, use_case, version, (since, until), most, seed)

    def future_rows(self, use_case: str, version: str, now: datetime) -> int:
        """How many scores of a model version lie after `now`, which only a wrong clock can write."""
        with self._reader() as connection:
            return history.future_rows(connection, use_case, version, now)

    def versions_by_day(self, use_case: str, since: datetime, until: datetime) -> dict[date, str]:
        """Day (UTC) with real scores of a use case → the model version that gave most of them."""
        with self._reader() as connection:
            return history.versions_by_day(connection, use_case, since, until)

    def close(self) -> None:
        """Write what waits, then refuse; safe to call twice."""
        with self._changed:
            self._closed = True
            abandoned, self._outside = self._outside, []
            self._changed.notify_all()
        tell_all(abandoned, JournalClosed("the journal is closed: the service is shutting down, send the request again"))
        self._writer.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _admit(self, entry: Entry) -> bool:
        if self._closed:
            raise JournalClosed("the journal is closed: the service is shutting down, send the request again")
        if self.pending and self.pending + len(entry.records) > self._capacity:
            return False
        self.pending += len(entry.records)
        QUEUE.inc(len(entry.records))
        self._waiting.append(entry)
        self._changed.notify_all()
        return True

    def _hand_over(self, loop: asyncio.AbstractEventLoop, seen: int) -> None:
        """Give the writer what has come in: more rows to a commit, since it waits as long as every turn of the loop brings more.

        A lone caller pays for that with one empty turn, some microseconds.
        """
        if seen < len(self._gathered[loop]) < _FEW:
            loop.call_soon(self._hand_over, loop, len(self._gathered[loop]))
            return
        gathered = [entry for entry in self._gathered.pop(loop) if not entry.done.done()]
        if self._written_at_once(gathered):
            return
        with self._changed:
            for entry in gathered:
                try:
                    if self._outside or not self._admit(entry):
                        self._outside.append(entry)
                        patience = loop.call_later(self._patience, self._give_up, entry)
                        entry.done.add_done_callback(partial(_cancel, patience))
                except JournalClosed as closed:
                    entry.tell(closed)

    def _written_at_once(self, batch: list[Entry]) -> bool:
        """Keep a few rows here and now without waiting for anybody: quicker than to wake a thread and to be woken by it.

        Batches alone, since their ids are new: the ids of other rows have to be looked for in the table.
        """
        records = [record for entry in batch for record in entry.records]
        known = all(entry.layouts and entry.layouts[0].layout in self._layouts for entry in batch)
        if not known or len(records) > _FEW:
            return False
        written = self._spooled(records)
        if written:
            tell_here(batch, None)
        return written

    def _spooled(self, records: list[Record]) -> bool:
        with self._changed:
            if self._closed:
                return False
            idle = not self._database.untidy
            written = self._database.write_at_once(records)
            self.commits += written
            if idle and self._database.untidy:
                self._changed.notify_all()
        return written

    def _give_up(self, entry: Entry) -> None:
        if self._withdraw(entry):
            entry.tell(self._full())

    def _withdraw(self, entry: Entry) -> bool:
        with self._changed:
            waited = entry in self._outside
            if waited:
                self._outside.remove(entry)
            return waited

    def _full(self) -> JournalFull:
        return JournalFull(f"{self.pending} scores wait for the journal's database (room for {self._capacity}): try again later")

    def _run(self) -> None:
        while (batch := self._take()) is not None:
            if batch:
                self._keep(batch)
            with self._changed:
                written = sum(len(entry.records) for entry in batch)
                self.pending -= written
                QUEUE.dec(written)
                while self._outside and not self._closed and self._admit(self._outside[0]):
                    self._outside.pop(0)
                self._changed.notify_all()
            if time.monotonic() >= self._tidy_at:
                self._tidy()
        if self._database.untidy:
            self._tidy()
        self._database.close()

    def _take(self) -> list[Entry] | None:
        """What waits; nothing when it is time to tidy up, None when there will be nothing any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed or self._database.untidy)
            self._changed.wait_for(lambda: self._waiting or self._closed, max(0.0, self._tidy_at - time.monotonic()))
            taken, self._waiting = self._waiting, []
            return None if self._closed and not taken else taken

    def _tidy(self) -> None:
        self._tidy_at = time.monotonic() + _GATHER_SECONDS
        if not self._database.untidy:
            return
        try:
            self._database.tidy()
        except Exception as error:  # noqa: BLE001 - the next time will do; nothing is lost
            self._tidy_at += _RETRY_SECONDS
            logger.warning("rows stay in the journal's spool for now: %s", type(error).__name__)

    def _keep(self, batch: list[Entry]) -> None:
        layouts = {layout for entry in batch for layout in entry.layouts if layout.layout not in self._layouts}
        try:
            self._database.write([record for entry in batch for record in entry.records], layouts)
            self.commits += 1
            self._layouts |= {layout.layout for layout in layouts}
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers must hear of it and the writer must go on
            if len(batch) > 1 and self._blames_rows(error):  # one caller's bad row must not cost the others theirs
                for entry in batch:
                    self._keep([entry])
            else:
                tell_all(batch, _not_written(error))
        else:
            tell_all(batch, None)

    def _blames_rows(self, error: Exception) -> bool:
        driver: Any = self._engine.dialect.loaded_dbapi
        return isinstance(_cause(error), driver.IntegrityError | driver.DataError)

    def _reader(self) -> Connection:
        return reading(self._engine)


def _cancel(timer: asyncio.TimerHandle, _done: object) -> None:
    timer.cancel()


def _cause(error: Exception) -> BaseException:
    return error.orig if isinstance(error, DBAPIError) and error.orig else error


def _not_written(error: Exception) -> JournalNotWritten:
    # The driver's first line only: SQLAlchemy's own text, and PostgreSQL's second line, quote the values.
    reason = _cause(error)
    line = next(iter(str(reason).splitlines()), "")
    return JournalNotWritten(f"the journal's database did not take the scores ({type(reason).__name__}: {line}): none was kept")
