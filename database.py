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
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateColumn

_UNSAMPLED = "unsampled"
_SAMPLED = text(
    "SELECT relname, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
    "WHERE relname = ANY(:tables) AND pg_table_is_visible(attrelid) AND attnum > 0 AND attstattarget IS DISTINCT FROM 0"
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
    """Make the tables of `schema` that are absent, and bring those of an earlier release up to it.

    These get the columns that they lack, if null is allowed there, and PostgreSQL is told what not to sample. Safe when several
    processes begin at once. Where nothing is left to do, as on every start but the first, nobody is waited for: a writer may
    hold the database for long.
    """
    with engine.connect().execution_options(read_only=True) as connection:
        there = inspect(connection).get_table_names()
        if schema.tables.keys() <= set(there) and not _upgrades(connection, schema):
            return
    with engine.begin() as connection:
        take_turn(connection, Turn.CREATE_TABLES)
        schema.create_all(connection)
        for statement in _upgrades(connection, schema):
            connection.exec_driver_sql(statement)


def add_new(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Add the rows whose keys the table does not have yet; those that it has stay as they are."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    if rows:
        connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)


def _upgrades(connection: Connection, schema: MetaData) -> list[str]:
    """What has to be said to the database for the tables of `schema` that are there to be as it wants them."""
    found = inspect(connection).get_multi_columns(filter_names=list(schema.tables))
    there = {(table, column["name"]) for (_, table), columns in found.items() for column in columns}
    tables = {table for table, _ in there}
    wanted = [column for table in schema.sorted_tables if table.name in tables for column in table.c]
    new = [column for column in wanted if column.nullable and (column.table.name, column.name) not in there]
    added = [f"ALTER TABLE {column.table.name} ADD COLUMN {CreateColumn(column).compile(connection)}" for column in new]
    if connection.dialect.name != "postgresql":
        return added
    sampled = {(table, name) for table, name in connection.execute(_SAMPLED, {"tables": list(schema.tables)})}
    personal = [column for column in wanted if column.info.get(_UNSAMPLED)]
    return added + [
        f'ALTER TABLE {column.table.name} ALTER COLUMN "{column.name}" TYPE {column.type.compile(connection.dialect)}, '
        f'ALTER COLUMN "{column.name}" SET STATISTICS 0'
        for column in personal
        if column in new or (column.table.name, column.name) in sampled
    ]


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
    """Have PostgreSQL's planner sample no values of personal `columns`, from the moment `create_tables` sees the table.

    It keeps samples for ever where it finds no rows any more, and whoever may read the table reads them in `pg_stats`. Those that
    it has of an older table are forgotten when the type of the column is set, also to the type it had, which rewrites no row.
    """
    for column in columns:
        table.c[column].info[_UNSAMPLED] = True


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
