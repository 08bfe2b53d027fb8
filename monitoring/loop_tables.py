"""The loop's tables beside the journal: its steps (append-only), who is at work on what, and alerts that wait."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from sqlalchemy import Column, Connection, Engine, Index, Integer, MetaData, Table, Text, text

from database import Turn, UtcTime, append_only, create_tables, open_database, take_turn
from monitoring.rows import SCHEMA as JOURNAL_SCHEMA
from settings import Settings

SCHEMA = MetaData()
STEPS = Table(
    "loop_steps",
    SCHEMA,
    Column("sequence", Integer, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("use_case", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("version", Text, nullable=False),  # champion when the event was emitted
    Column("step", Text, nullable=False),  # decided, asked, answered, trained, failed, gated
    Column("decision", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("broken", Text, nullable=False),  # JSON: [column, …]
    Column("holder", Text, nullable=False),  # which run took the step
    Column("until", UtcTime),  # asked: how long the answer is waited for
    Column("challenger", Text),  # trained, gated: the version
    Column("person", Text),  # answered: who
    Column("comment", Text),
    Column("figures", Text),  # JSON
    Index("loop_steps_use_case", "use_case", "sequence"),
    Index("loop_steps_event", "event_id", "sequence"),
    # What one transaction decides once, the database holds even against a writer that took no lock.
    Index(
        "loop_steps_decided_once",
        "event_id",
        unique=True,
        sqlite_where=text("step = 'decided'"),
        postgresql_where=text("step = 'decided'"),
    ),
)
append_only(STEPS)
LEASES = Table(
    "loop_leases",
    SCHEMA,
    Column("name", Text, primary_key=True),  # what is worked on
    Column("holder", Text, nullable=False),
    Column("until", UtcTime, nullable=False),
)
ALERTS = Table(
    "loop_alerts",
    SCHEMA,
    Column("sequence", Integer, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("body", Text, nullable=False),  # JSON, as it is posted
    Column("delivered_at", UtcTime),
)


@cache
def _opened(url: str) -> Engine:
    engine = open_database(url)
    for schema in (JOURNAL_SCHEMA, SCHEMA):  # what a challenger scored in shadow is read by the loop as well
        create_tables(engine, schema)
    return engine


def open_loop(config: Settings) -> Engine:
    """The journal's database with its tables and the loop's, opened once per process."""
    return _opened(config.database("journal"))


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that no other of the loop's writers interleaves with: what it has read is still true when it commits."""
    with engine.begin() as connection:
        take_turn(connection, Turn.WRITE_LOOP)
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that waits for no writer."""
    with engine.connect().execution_options(read_only=True) as connection, connection.begin():
        yield connection
