"""Writing rows of the journal, each call in one transaction: one statement on SQLite, COPY on PostgreSQL."""

import fcntl
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from sqlite3 import Connection as SqliteConnection
from sqlite3 import Error
from typing import Any, Protocol, cast

import orjson
from sqlalchemy import Engine
from sqlalchemy.dialects import postgresql

from monitoring.batches import Layout
from monitoring.rows import JOURNAL, LAYOUTS, Record

_COLUMNS = tuple(column.name for column in JOURNAL.c)
_TS = _COLUMNS.index("ts")
_MOST_AT_ONCE = 1000  # rows a statement: SQLite takes 32,766 parameters
_PATIENCE_MS = 50
_LONG_LOG_PAGES = 16_384  # 64 MiB
_ADD_LAYOUT = "INSERT INTO journal_layouts (layout, names) VALUES (?, ?) ON CONFLICT DO NOTHING"


class Writer(Protocol):
    """Used by one thread, but for `write_at_once`."""

    def write(self, records: Sequence[Record], layouts: Collection[Layout]) -> None:
        """Add rows and the layouts that the database may not know yet, all or nothing; they are durable when this returns."""

    def write_at_once(self, records: Sequence[Record]) -> bool:
        """`write` without waiting for anybody; False = not now, nothing was written. By one thread at a time, whichever."""

    def tidy(self) -> None:
        """Do what is due after many commits, while others may write."""

    def close(self) -> None:
        """Give back what is held."""


def writer_of(engine: Engine) -> Writer:
    """The quickest writer to the database of `engine`, in which the tables are there."""
    return PostgresWriter(engine) if engine.dialect.name == "postgresql" else SqliteWriter(engine)


class PostgresWriter:
    """Rows by COPY."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def write(self, records: Sequence[Record], layouts: Collection[Layout]) -> None:
        with self._engine.begin() as connection:
            for layout in layouts:
                row = {"layout": layout.layout, "names": _names(layout)}
                connection.execute(postgresql.insert(LAYOUTS).values(row).on_conflict_do_nothing())
            cursor: Any = connection.connection.cursor()
            with cursor.copy(f"COPY journal ({','.join(_COLUMNS)}) FROM STDIN") as copy:
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
    file lock: it wakes the next one at once, where SQLite's own would have it sleep and try again.
    """

    def __init__(self, engine: Engine) -> None:
        self._borrowed = [engine.raw_connection(), engine.raw_connection()]
        self._connection, self._prompt = (cast(SqliteConnection, one.driver_connection) for one in self._borrowed)
        self._prompt.execute("PRAGMA busy_timeout=0")
        self._prompt.execute("PRAGMA wal_autocheckpoint=0")  # an event loop must not stand still for that: see `tidy`
        database = engine.url.database
        shared = database not in (None, "", ":memory:")
        self._turns = os.open(f"{database}.turn", os.O_CREAT | os.O_RDWR, 0o600) if shared else None

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
                    self._connection.execute("ROLLBACK")
                    raise

    def write_at_once(self, records: Sequence[Record]) -> bool:
        if self._turns is None:
            return False
        try:
            fcntl.flock(self._turns, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        try:
            self._prompt.execute(_statement(len(records)), _parameters(records))
        except Error:  # whatever it is, `write` meets it again and says so
            return False
        finally:
            fcntl.flock(self._turns, fcntl.LOCK_UN)
        return True

    def tidy(self) -> None:
        """Move what the write-ahead log holds into the database, and let the log begin anew.

        It is moved beside the writers. Under steady load that never gets to the end of the log, so they are held back for the
        rest once it is long.
        """
        self._connection.execute(f"PRAGMA busy_timeout={_PATIENCE_MS}")  # a reader of an old state is not waited for
        _, pages, _ = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if pages > _LONG_LOG_PAGES:
            self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        self._connection.execute("PRAGMA busy_timeout=30000")

    def close(self) -> None:
        for borrowed in self._borrowed:
            borrowed.invalidate()  # its pragmas are not for others
        if self._turns is not None:
            os.close(self._turns)

    def _insert(self, records: Sequence[Record]) -> None:
        self._connection.execute(_statement(len(records)), _parameters(records))

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


@lru_cache(maxsize=64)
def _statement(rows: int) -> str:
    row = f"({','.join('?' * len(_COLUMNS))})"
    return f"INSERT INTO journal ({','.join(_COLUMNS)}) VALUES {','.join([row] * rows)}"  # noqa: S608 - our own names


def _parameters(records: Sequence[Record]) -> list[Any]:
    values = [value for record in records for value in record]
    values[_TS :: len(_COLUMNS)] = [_text(record[_TS]) for record in records]
    return values


@lru_cache(maxsize=1024)
def _text(ts: datetime) -> str:
    """The time as SQLAlchemy stores it on SQLite: UTC, with microseconds, so that texts sort as times."""
    return ts.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _names(layout: Layout) -> str:
    return orjson.dumps(layout.names).decode()
