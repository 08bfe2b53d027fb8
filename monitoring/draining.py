"""Moving what spools hold into the journal's table: by the service that wrote it, by whoever reads, or after a crash."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import cast

from sqlalchemy import Connection, Engine

from monitoring.rows import Record
from monitoring.spool import SUFFIX, Place, Spool, frames
from monitoring.statements import insertion, parameters

_MOST_AT_ONCE = 250  # rows a statement: while its values are bound the interpreter's lock is held, and requests wait for it
_MOST_TOGETHER = 5_000  # rows a transaction, about
_TABLE = "CREATE TABLE IF NOT EXISTS journal_spools (name TEXT PRIMARY KEY, sequence INTEGER NOT NULL, position INTEGER NOT NULL)"


def folder_of(engine: Engine) -> Path | None:
    """Where the spools of the journal at `engine` lie; None where it has none: on PostgreSQL, or in memory."""
    if engine.dialect.name != "sqlite" or engine.url.database in (None, "", ":memory:"):
        return None
    return Path(f"{engine.url.database}.spools")


def reading(engine: Engine) -> Connection:
    """A connection for reading that sees every row of the journal at `engine` that is durable by now."""
    folder = folder_of(engine)
    if folder is not None and folder.exists():
        with closing(engine.raw_connection()) as borrowed:
            drain(cast(SqliteConnection, borrowed.driver_connection), folder)
    return engine.connect().execution_options(read_only=True)


def open_spool(connection: SqliteConnection, folder: Path) -> Spool:
    """A new spool, known to the database of `connection`.

    Raises:
        OSError, sqlite3.Error: it could not be made.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    spool = Spool(folder)
    try:
        _know(connection, spool.name)
    except BaseException:
        spool.remove()
        raise
    return spool


def drain(connection: SqliteConnection, folder: Path) -> dict[str, Place]:
    """Move the rows of every spool in `folder` that are durable by now; tells by name how far each was moved.

    Raises:
        sqlite3.Error: the database took no more; what it did not take stays in the spools.
    """
    places = {}
    connection.execute(_TABLE)
    for file in folder.glob(f"*{SUFFIX}"):
        try:
            with _opened(file, os.O_RDONLY) as opened:
                place = _moved(connection, file.stem, opened)
        except FileNotFoundError:  # moved to its end and taken away meanwhile
            continue
        if place is not None:
            places[file.stem] = place
    return places


def adopt(connection: SqliteConnection, folder: Path) -> None:
    """Move the rows of the spools whose processes have ended, and take their files away."""
    for file in folder.glob(f"*{SUFFIX}"):
        try:
            with _opened(file, os.O_RDWR) as opened:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _know(connection, file.stem)  # of a database that was restored; rows that it has already are passed over
                _moved(connection, file.stem, opened)
                forget(connection, file.stem)
                file.unlink(missing_ok=True)
        except (FileNotFoundError, BlockingIOError):  # somebody else adopts it, or its process lives
            continue


def forget(connection: SqliteConnection, name: str) -> None:
    """Let the database know no more of a spool that was moved to its end."""
    connection.execute("DELETE FROM journal_spools WHERE name = ?", (name,))


def _know(connection: SqliteConnection, name: str) -> None:
    connection.execute(_TABLE)
    begin = name, Place().sequence, Place().offset
    connection.execute("INSERT INTO journal_spools VALUES (?, ?, ?) ON CONFLICT DO NOTHING", begin)


def _moved(connection: SqliteConnection, name: str, opened: int) -> Place | None:
    """Where a spool is moved up to after this; None when the database does not know it, since it is made or taken away."""
    place = _place(connection, name)
    while place is not None and next(frames(opened, place), None) is not None:
        with _transaction(connection):
            place = _place(connection, name)  # somebody else may have been quicker
            if place is not None:
                records, place = _together(opened, place)
                for start in range(0, len(records), _MOST_AT_ONCE):
                    some = records[start : start + _MOST_AT_ONCE]
                    connection.execute(insertion(len(some), leave_known=True), parameters(some))
                after = place.sequence, place.offset, name
                connection.execute("UPDATE journal_spools SET sequence = ?, position = ? WHERE name = ?", after)
    return place


def _place(connection: SqliteConnection, name: str) -> Place | None:
    found = connection.execute("SELECT sequence, position FROM journal_spools WHERE name = ?", (name,)).fetchone()
    return None if found is None else Place(*found)


def _together(opened: int, place: Place) -> tuple[list[Record], Place]:
    records: list[Record] = []
    for rows, after in frames(opened, place):
        records += rows
        place = after
        if len(records) >= _MOST_TOGETHER:
            break
    return records, place


@contextmanager
def _opened(file: Path, how: int) -> Iterator[int]:
    opened = os.open(file, how)
    try:
        yield opened
    finally:
        os.close(opened)


@contextmanager
def _transaction(connection: SqliteConnection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has ended it, and is the reason to be told
            connection.execute("ROLLBACK")
        raise
