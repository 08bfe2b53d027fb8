"""The journal's tables are made by whoever opens it first; whoever comes later waits for nobody."""

import os
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy import inspect, make_url

from clock import now
from database import Turn, open_database, take_turn
from monitoring.outcomes import labelled
from monitoring.rows import JOURNAL, LABELS, LABELS_ASIDE, LAYOUTS, open_journal
from settings import Settings

ROOT = Path(__file__).parents[2]
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


def test_processes_that_open_it_at_once_make_every_table_once(database_url: str) -> None:
    opening = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, database_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for _ in range(3)
    ]
    for process in opening:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    moment = time.time() + 0.2
    for process in opening:
        assert process.stdin
        process.stdin.write(f"{moment}\n")
        process.stdin.flush()
    ended = [process.communicate() for process in opening]
    assert [process.returncode for process in opening] == [0, 0, 0], ended
    engine = open_database(database_url)
    assert {table.name for table in TABLES} <= set(inspect(engine).get_table_names())
    engine.dispose()


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
