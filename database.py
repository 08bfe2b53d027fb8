"""The one way to open a database: durable SQLite (WAL) or PostgreSQL, by URL."""

from datetime import UTC, datetime
from enum import IntEnum, unique
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any

from sqlalchemy import (
    DDL,
    Connection,
    DateTime,
    Dialect,
    Engine,
    MetaData,
    Table,
    TypeDecorator,
    create_engine,
    event,
    func,
    inspect,
    make_url,
    select,
)


class UtcTime(TypeDecorator[datetime]):
    """Column type of aware datetimes, in UTC on every database (SQLite itself knows no time zones)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Normalise to UTC, which also makes the text that SQLite compares sortable."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Give back an aware datetime."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


@unique
class Turn(IntEnum):
    """What one transaction does at a time: numbers of PostgreSQL's advisory locks, each once, since one database may hold all."""

    CREATE_TABLES = 0x0B0A_0001
    WRITE_CONSENTS = 0x0B0A_0002
    WRITE_LEDGER = 0x0B0A_0003
    WRITE_LOOP = 0x0B0A_0004
    JOIN_LABELS = 0x0B0A_0005


class NotDurable(Exception):
    """The PostgreSQL server is set up to lose acknowledged commits in a crash; turn the named settings on."""


def open_database(url: str) -> Engine:
    """Open the database at `url`, creating the folder of a SQLite file.

    SQLite runs in WAL mode with `synchronous=FULL`, so that a commit that returned survives a
    power cut, waits 30 s for a competing writer, and takes its write lock when a transaction begins:
    two writers queue up instead of failing with "database is locked" half-way.
    No error text quotes the values of a statement: they may be a client's.

    Raises:
        NotDurable: (on connecting) this PostgreSQL may lose a commit that returned.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        server = create_engine(parsed, pool_pre_ping=True, hide_parameters=True)
        event.listen(server, "connect", _require_durable)
        return server
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": 30, "check_same_thread": False}, hide_parameters=True)
    event.listen(engine, "connect", _make_durable)
    event.listen(engine, "begin", _take_write_lock)
    return engine


def take_turn(connection: Connection, turn: Turn) -> None:
    """Wait until no other transaction has this turn, and keep it to the end of this one; SQLite queues its writers by itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(int(turn))))


def create_tables(engine: Engine, schema: MetaData) -> None:
    """Make the tables of `schema` that are absent; safe when several processes begin at once.

    Where all are there, as on every start but the first, nobody is waited for: a writer may hold the database for long.
    """
    with engine.connect().execution_options(read_only=True) as connection:
        there = inspect(connection).get_table_names()
    if schema.tables.keys() <= set(there):
        return
    with engine.begin() as connection:
        take_turn(connection, Turn.CREATE_TABLES)
        schema.create_all(connection)


def append_only(table: Table) -> None:
    """Have the database itself refuse to change or delete a row of `table`, from the moment the table is made."""
    refusal = f"{table.name} is append-only"
    for action in ("UPDATE", "DELETE"):
        guard = f"CREATE TRIGGER {table.name}_no_{action.lower()} BEFORE {action} ON {table.name} FOR EACH ROW "
        sqlite = DDL(guard + f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END")
        event.listen(table, "after_create", sqlite.execute_if(dialect="sqlite"))
    function = (
        f"CREATE OR REPLACE FUNCTION {table.name}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{refusal}'; END $$"
    )
    trigger = (
        f"CREATE TRIGGER {table.name}_guard BEFORE UPDATE OR DELETE OR TRUNCATE ON {table.name} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table.name}_refuse()"
    )
    for statement in (function, trigger):
        event.listen(table, "after_create", DDL(statement).execute_if(dialect="postgresql"))


def unsampled(table: Table, *columns: str) -> None:
    """Have PostgreSQL's planner sample no values of personal `columns`, from the moment `table` is made.

    It keeps samples for ever where it finds no rows any more, and whoever may read the table reads them in `pg_stats`.
    """
    for column in columns:
        samples = DDL(f'ALTER TABLE {table.name} ALTER COLUMN "{column}" SET STATISTICS 0')
        event.listen(table, "after_create", samples.execute_if(dialect="postgresql"))


def _make_durable(connection: SqliteConnection, _record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's own BEGIN (below) decides, not the driver
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _take_write_lock(connection: object) -> None:
    read_only = connection.get_execution_options().get("read_only", False)  # type: ignore[attr-defined]
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")  # type: ignore[attr-defined]


def _require_durable(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM pg_settings WHERE setting = 'off' AND name IN ('fsync', 'full_page_writes', 'synchronous_commit')"
        )
        weak = [name for (name,) in cursor.fetchall()]
    connection.rollback()
    if weak:
        raise NotDurable(f"PostgreSQL runs with {' and '.join(weak)} off, so acknowledged writes can be lost: turn it on")
