"""Awaiting callers on SQLite: a few rows are committed in the turn of the loop that brought them, if nobody is in the way."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from database import open_database
from monitoring.insertion import SqliteWriter
from monitoring.journal import Journal, JournalRow


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'journal.db'}")
    yield engine
    engine.dispose()


def row() -> JournalRow:
    return JournalRow("fraud", "api", {"amount": 1.0}, {"fraud": 0.5}, "1", 1.0)


def kept(engine: Engine) -> int:
    with sqlite3.connect(str(engine.url.database)) as connection:
        return int(connection.execute("SELECT count(*) FROM journal").fetchone()[0])


def test_rows_are_durable_without_the_writers_thread(engine: Engine) -> None:
    async def one_turn(journal: Journal) -> None:
        await asyncio.gather(*(journal.write_async([row()]) for _ in range(8)))

    with Journal(engine) as journal:
        writer = journal._database
        journal._database.write = pytest.fail  # type: ignore[method-assign, assignment]
        asyncio.run(one_turn(journal))
        assert (journal.commits, kept(engine)) == (1, 8)
        assert writer is journal._database


def test_with_another_process_in_its_turn_the_rows_wait_for_the_thread_and_the_loop_runs_on(engine: Engine) -> None:
    ticks = 0

    async def waiting(journal: Journal, blocker: sqlite3.Connection) -> None:
        nonlocal ticks
        writing = asyncio.create_task(journal.write_async([row()]))
        for _ in range(20):
            await asyncio.sleep(0.002)
            ticks += 1
        assert not writing.done()
        blocker.execute("COMMIT")
        await writing

    with Journal(engine) as journal:
        blocker = sqlite3.connect(str(engine.url.database), isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        asyncio.run(waiting(journal, blocker))
        blocker.close()
    assert (ticks, kept(engine)) == (20, 1)


def test_the_same_id_twice_is_told_to_its_caller_and_the_other_rows_are_kept(engine: Engine) -> None:
    first, other = row(), row()

    async def together(journal: Journal) -> list[BaseException | None]:
        await journal.write_async([first])
        return await asyncio.gather(journal.write_async([first]), journal.write_async([other]), return_exceptions=True)

    with Journal(engine) as journal:
        told = asyncio.run(together(journal))
    assert [type(one).__name__ for one in told] == ["JournalNotWritten", "NoneType"]
    assert kept(engine) == 2


def test_the_log_is_moved_into_the_database_while_rows_are_written(engine: Engine) -> None:
    async def many(journal: Journal) -> None:
        for _ in range(1200):
            await journal.write_async([row()])

    with Journal(engine) as journal:
        asyncio.run(many(journal))
        moved = Path(str(engine.url.database)).stat().st_size
    assert moved > 100_000


def test_a_long_log_begins_anew(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.insertion._LONG_LOG_PAGES", 10)
    with Journal(engine) as journal:
        journal.write([row() for _ in range(500)])
        writer = journal._database
        assert isinstance(writer, SqliteWriter)
        writer.tidy()
        log = Path(f"{engine.url.database}-wal")
        before = log.stat().st_size
        journal.write([row() for _ in range(20)])
        assert log.stat().st_size == before
