"""Writing rows of the journal, each call in one transaction: one statement on SQLite, COPY on PostgreSQL."""

import fcntl
import logging
import os
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from sqlite3 import Error
from typing import Any, Protocol, cast

import orjson
from sqlalchemy import Engine
from sqlalchemy.dialects import postgresql

from features.layouts import Layout
from monitoring.draining import adopt, drain, folder_of, forget, open_spool
from monitoring.rows import LAYOUTS, Record
from monitoring.spool import Spool
from monitoring.statements import COLUMNS, insertion, parameters

_MOST_AT_ONCE = 1000  # rows a statement: SQLite takes 32,766 parameters
_PATIENCE_MS = 50
_LONG_LOG = 64 << 20
_RETRY_SECONDS = 60.0
_ADD_LAYOUT = "INSERT INTO journal_layouts (layout, names) VALUES (?, ?) ON CONFLICT DO NOTHING"

logger = logging.getLogger("opora.journal")


class Writer(Protocol):
    """Used by one thread, but for `write_at_once`."""

    @property
    def untidy(self) -> bool:
        """Whether it is time to `tidy`."""

    def write(self, records: Sequence[Record], layouts: Collection[Layout]) -> None:
        """Add rows and the layouts that the database may not know yet, all or nothing; they are durable when this returns."""

    def write_at_once(self, records: Sequence[Record]) -> bool:
        """`write` without waiting for anybody, of rows of known layouts with new ids; False = not now, write them otherwise.

        By one thread at a time, whichever.
        """

    def tidy(self) -> None:
        """Do what `write_at_once` left to be done, which goes on meanwhile."""

    def close(self) -> None:
        """Give back what is held."""


def writer_of(engine: Engine) -> Writer:
    """The quickest writer to the database of `engine`, in which the tables are there."""
    return PostgresWriter(engine) if engine.dialect.name == "postgresql" else SqliteWriter(engine)


class PostgresWriter:
    """Rows by COPY."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.untidy = False

    def write(self, records: Sequence[Record], layouts: Collection[Layout]) -> None:
        with self._engine.begin() as connection:
            for layout in layouts:
                row = {"layout": layout.layout, "names": _names(layout)}
                connection.execute(postgresql.insert(LAYOUTS).values(row).on_conflict_do_nothing())
            cursor: Any = connection.connection.cursor()
            with cursor.copy(f"COPY journal ({','.join(COLUMNS)}) FROM STDIN") as copy:
                for record in records:
                    copy.write_row(record)
            cursor.close()

    def write_at_once(self, records: Sequence[Record]) -> bool:  # noqa: ARG002 - a server is never asked without waiting
        return False

    def tidy(self) -> None:
        return

    def close(self) -> None:
        return


class SqliteWriter:
    """Rows by as few calls as there can be, since the interpreter's lock changes hands at every one.

    A group of usual size is one statement and so a transaction by itself. Processes that write to the same file take turns by a
    file lock: it wakes the next one at once, where SQLite's own would have it sleep and try again. Rows that nobody may wait for
    go to a spool of this process and are moved later, many together.
    """

    def __init__(self, engine: Engine) -> None:
        self._borrowed = engine.raw_connection()
        self._connection = cast(SqliteConnection, self._borrowed.driver_connection)
        self._folder = folder_of(engine)
        self._turns = None if self._folder is None else os.open(f"{engine.url.database}.turn", os.O_CREAT | os.O_RDWR, 0o600)
        self._spool: Spool | None = None
        self._wanted = False
        self._refused_at = -_RETRY_SECONDS
        self._log = Path(f"{engine.url.database}-wal")
        self._longest = _LONG_LOG
        if self._folder is not None:
            self._adopt(self._folder)

    @property
    def untidy(self) -> bool:
        return self._wanted if self._spool is None else not self._spool.empty

    def write(self, records: Sequence[Record], layouts: Collection[Layout]) -> None:
        with self._turn():
            if len(records) <= _MOST_AT_ONCE and not layouts:
                self._insert(records)
            else:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    self._connection.executemany(_ADD_LAYOUT, [(layout.layout, _names(layout)) for layout in layouts])
                    for start in range(0, len(records), _MOST_AT_ONCE):
                        self._insert(records[start : start + _MOST_AT_ONCE])
                    self._connection.execute("COMMIT")
                except BaseException:
                    if self._connection.in_transaction:  # a full disk has ended it, and is the reason to be told
                        self._connection.execute("ROLLBACK")
                    raise

    def write_at_once(self, records: Sequence[Record]) -> bool:
        spool = self._spool
        if spool is None:
            self._wanted = self._folder is not None and time.monotonic() - self._refused_at >= _RETRY_SECONDS
            return False
        try:
            return spool.append(records)
        except OSError as error:
            self._give_up(error)
            self._wanted = True  # another one, once what this one holds was moved
            spool.close()
            return False

    def tidy(self) -> None:
        """Make the spool that was missed, or move what it holds into the table, and let the write-ahead log begin anew."""
        spool = self._spool
        if self._folder is None:
            return
        if spool is None:
            self._wanted = False
            self._adopt(self._folder)
            self._open(self._folder)
        else:
            with self._turn():
                places = drain(self._connection, self._folder)
            spool.moved(places[spool.name])
            self._shorten_log()

    def close(self) -> None:
        if self._spool is not None:
            self._leave(self._spool)
        self._borrowed.invalidate()  # its pragmas are not for others
        if self._turns is not None:
            os.close(self._turns)

    def _adopt(self, folder: Path) -> None:
        try:
            adopt(self._connection, folder)
        except Error as error:
            logger.warning("spools that were left behind are kept and tried again: %s", type(error).__name__)

    def _open(self, folder: Path) -> None:
        try:
            self._spool = open_spool(self._connection, folder)
        except (OSError, Error) as error:
            self._give_up(error)

    def _leave(self, spool: Spool) -> None:
        """Take an empty spool away; any other is for whoever adopts it."""
        try:
            if spool.empty:
                forget(self._connection, spool.name)
                spool.remove()
                return
        except Error as error:
            logger.warning("a spool is left behind: %s", type(error).__name__)
        spool.close()

    def _give_up(self, error: Exception) -> None:
        self._spool, self._refused_at = None, time.monotonic()
        logger.warning("the journal goes on without a spool, and slower: %s", type(error).__name__)

    def _shorten_log(self) -> None:
        """Let a write-ahead log that has become long begin anew.

        SQLite itself moves it into the database every 1,000 pages, beside the writers, and under steady load that never gets to
        its end: they are held back for the rest.
        """
        length = self._log.stat().st_size
        if length > self._longest:
            self._connection.execute(f"PRAGMA busy_timeout={_PATIENCE_MS}")  # a reader of an old state is not waited for
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            self._connection.execute("PRAGMA busy_timeout=30000")
            self._longest = length

    def _insert(self, records: Sequence[Record]) -> None:
        self._connection.execute(insertion(len(records)), parameters(records))

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._turns is None:
            yield
            return
        fcntl.flock(self._turns, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._turns, fcntl.LOCK_UN)


def _names(layout: Layout) -> str:
    return orjson.dumps(layout.names).decode()
