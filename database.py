"""The one way to open a database: durable SQLite (WAL) or PostgreSQL, by URL."""

from pathlib import Path
from sqlite3 import Connection

from sqlalchemy import Engine, create_engine, event, make_url


def open_database(url: str) -> Engine:
    """Open the database at `url`, creating the folder of a SQLite file.

    SQLite runs in WAL mode with `synchronous=FULL`, so that a commit that returned survives a
    power cut, waits 30 s for a competing writer, and takes its write lock when a transaction begins:
    two writers queue up instead of failing with "database is locked" half-way.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True)
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": 30, "check_same_thread": False})
    event.listen(engine, "connect", _make_durable)
    event.listen(engine, "begin", _take_write_lock)
    return engine


def _make_durable(connection: Connection, _record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's own BEGIN (below) decides, not the driver
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _take_write_lock(connection: object) -> None:
    read_only = connection.get_execution_options().get("read_only", False)  # type: ignore[attr-defined]
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")  # type: ignore[attr-defined]
