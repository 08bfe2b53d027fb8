"""The journal's tables are made by whoever opens it first; whoever comes later waits for nobody."""

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, inspect, make_url, select, text

from clock import now
from database import Turn, open_database, take_turn
from monitoring.journal import Journal, JournalRow
from monitoring.outcomes import labelled
from monitoring.rows import ESTIMATES, JOURNAL, LABELS, LABELS_ASIDE, LAYOUTS, open_journal
from settings import Settings
from tests.fork_server import ForkServer

TABLES = (JOURNAL, LAYOUTS, LABELS, LABELS_ASIDE)
OPEN = """
import sys, time
from monitoring.rows import open_journal
from settings import Settings
print("ready", flush=True)
moment = float(sys.stdin.readline())
while time.time() < moment:
    pass
with open_journal(Settings(database_url=sys.argv[1])).connect() as connection:
    connection.exec_driver_sql("SELECT count(*) FROM journal_labels")
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    """Processes that are about to open the journal."""
    with ForkServer("monitoring.rows", "settings") as server:
        yield server


def open_in_three_processes(server: ForkServer, database_url: str) -> None:
    """Open the journal at the same moment in processes of their own, none of which may fail."""
    opening = [server.python(OPEN, database_url) for _ in range(3)]
    for process in opening:
        assert process.stdout.readline() == "ready\n"
    moment = time.time() + 0.2
    for process in opening:
        process.stdin.write(f"{moment}\n")
        process.stdin.flush()
    ended = [process.communicate() for process in opening]
    assert [process.returncode for process in opening] == [0, 0, 0], ended


def test_processes_that_open_it_at_once_make_every_table_once(database_url: str, server: ForkServer) -> None:
    open_in_three_processes(server, database_url)
    engine = open_database(database_url)
    assert {table.name for table in TABLES} <= set(inspect(engine).get_table_names())
    engine.dispose()


def test_a_journal_of_an_earlier_release_is_brought_up_to_date_with_all_its_rows(database_url: str, server: ForkServer) -> None:
    engine = open_journal(Settings(database_url=database_url))
    with Journal(engine) as journal:
        journal.write([row("old")])
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE journal DROP COLUMN error"))
        connection.execute(text("ALTER TABLE quality_estimates DROP COLUMN realised_at"))
        if engine.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE journal ALTER COLUMN client_id SET STATISTICS -1"))
            connection.execute(text("ANALYZE journal"))
            assert sampled(connection) == {"client_id"}
    engine.dispose()
    open_in_three_processes(server, database_url)
    with engine.connect() as connection:
        assert connection.execute(select(JOURNAL.c.client_id, JOURNAL.c.error)).all() == [("old", None)]
        assert connection.execute(select(ESTIMATES.c.realised_at)).all() == []
        assert sampled(connection) == set()
    with Journal(engine) as journal:
        journal.write([row("new")])
    engine.dispose()


def row(client: str) -> JournalRow:
    return JournalRow("fraud", "api", {}, {"fraud": 0.1}, "1", 1.0, client_id=client)


def sampled(connection: Connection) -> set[str]:
    """Columns about clients of which PostgreSQL's planner keeps samples."""
    if connection.dialect.name != "postgresql":
        return set()
    known = text("SELECT attname FROM pg_stats WHERE tablename = 'journal' AND attname IN ('client_id', 'features')")
    return set(connection.scalars(known))


def test_where_the_tables_are_there_opening_and_reading_wait_for_nobody_who_writes_or_makes_tables(database_url: str) -> None:
    first = open_journal(Settings(database_url=database_url))
    impatient = make_url(database_url)
    if options := impatient.query.get("options"):
        impatient = impatient.update_query_dict({"options": f"{options} -clock_timeout=2000"})
    with first.begin() as connection:
        take_turn(connection, Turn.CREATE_TABLES)
        later = open_journal(Settings(database_url=impatient.render_as_string(hide_password=False)))
        assert len(labelled(later, "fraud", "1", None, now(), 10)) == 0
    later.dispose()
    first.dispose()
