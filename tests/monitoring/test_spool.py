"""Rows in a spool: durable at once, moved into the table exactly once whoever dies, never more than there is room for."""

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, text

from clock import now
from database import open_database
from features.layouts import layout_of
from identifiers import new_ids
from monitoring.batches import JournalBatch
from monitoring.draining import adopt, drain, folder_of, open_spool, reading
from monitoring.health import model_health
from monitoring.insertion import SqliteWriter
from monitoring.journal import Journal, JournalClosed, JournalRow
from monitoring.labels import Label, record_labels
from monitoring.rows import Record, create_tables
from monitoring.spool import Place, Spool, frames
from tests.fork_server import ForkServer
from tests.monitoring.killed import acknowledged

DAY = timedelta(days=1)
LAYOUT = layout_of(("amount", "hour"))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'journal.db'}")
    yield engine
    engine.dispose()


def batch(rows: int = 1) -> JournalBatch:
    ids = new_ids(rows)
    features = np.array([[1.0, np.nan]] * rows)
    return JournalBatch("fraud", "api", LAYOUT, features, "fraud", [0.5] * rows, ["low"] * rows, ["Клиент"] * rows, ids, "1", 1.5)


def kept(engine: Engine) -> list[str]:
    """Ids in the table alone."""
    with sqlite3.connect(str(engine.url.database)) as connection:
        return [found for (found,) in connection.execute("SELECT score_id FROM journal")]


def spools(engine: Engine) -> list[Path]:
    folder = folder_of(engine)
    assert folder is not None
    return sorted(folder.glob("*.spool"))


async def write(journal: Journal, *batches: JournalBatch) -> None:
    await asyncio.gather(*(journal.write_async(one) for one in batches))


def opened(journal: Journal) -> None:
    """Let the journal have its spool: the first batch of a known layout asks for it."""
    writer = journal._database
    assert isinstance(writer, SqliteWriter)
    asyncio.run(write(journal, batch()))
    while writer._spool is None:
        asyncio.run(write(journal, batch()))
        time.sleep(0.01)


def raw(engine: Engine) -> sqlite3.Connection:
    return sqlite3.connect(str(engine.url.database), isolation_level=None)


def test_p10_rows_are_durable_while_another_process_holds_the_database(engine: Engine) -> None:
    written = [batch() for _ in range(8)]
    with Journal(engine) as journal, closing(raw(engine)) as blocker:
        opened(journal)
        blocker.execute("BEGIN IMMEDIATE")
        asyncio.run(write(journal, *written))
        ids = {score_id for one in written for score_id in one.score_ids}
        assert not ids & set(kept(engine))
        blocker.execute("COMMIT")
        found = journal.window("fraud", now() - DAY, now() + DAY).set_index("score_id")
    assert ids <= set(found.index)
    row = found.loc[written[0].score_ids[0]]
    assert (row.client_id, row.feature_amount, row.prediction_fraud, row.decision_fraud) == ("Клиент", 1.0, 0.5, "low")
    assert row.ts == written[0].ts


def test_closing_moves_every_row_and_leaves_no_file(engine: Engine) -> None:
    with Journal(engine) as journal:
        opened(journal)
        asyncio.run(write(journal, *(batch() for _ in range(20))))
        commits = journal.commits
    assert len(kept(engine)) >= 20
    assert commits >= 2
    assert spools(engine) == []


def test_a_reader_in_another_process_sees_what_is_durable_without_waiting_for_the_writer(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal(engine) as journal:
        opened(journal)
        monkeypatch.setattr("monitoring.journal._GATHER_SECONDS", 60.0)
        journal._tidy_at += 60  # nothing is moved by the writer itself
        written = batch(3)
        asyncio.run(write(journal, written))
        other = open_database(str(engine.url))
        before = len(kept(engine))
        assert record_labels(other, [Label(1.0, score_id=written.score_ids[0])]).joined == 1
        assert model_health(other, "fraud", now() - DAY, now() + DAY).requests == before + 3
        other.dispose()


def test_rows_moved_by_a_reader_are_not_moved_again_by_the_writer(engine: Engine) -> None:
    with Journal(engine) as journal:
        opened(journal)
        for _ in range(30):
            asyncio.run(write(journal, batch(2)))
            with reading(engine):
                pass
    ids = kept(engine)
    assert len(ids) == len(set(ids)) >= 60


@pytest.fixture
def folder(engine: Engine) -> Path:
    create_tables(engine)
    folder = folder_of(engine)
    assert folder is not None
    return folder


def records(rows: int) -> list[Record]:
    return batch(rows).records()


def test_a_full_spool_says_so_and_goes_round_once_rows_were_moved(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(raw(engine)) as connection:
        monkeypatch.setattr("monitoring.draining.Spool", partial(Spool, room=20_000))
        spool = open_spool(connection, folder)
        written = 0
        for _ in range(25):
            while spool.append(one := records(random.randint(1, 9))):
                written += len(one)
            spool.moved(drain(connection, folder)[spool.name])
            assert spool.empty
        assert (folder / f"{spool.name}.spool").stat().st_size == 20_000
        spool.close()
    assert len(set(kept(engine))) == written > 400


def test_p10_a_frame_that_was_cut_short_or_belongs_to_an_earlier_round_is_the_end(folder: Path) -> None:
    folder.mkdir()
    spool = Spool(folder, 10_000)
    for _ in range(3):
        assert spool.append(records(2))
    file = os.open(folder / f"{spool.name}.spool", os.O_RDWR)
    places = [place for _, place in frames(file, Place())]
    assert len(places) == 3
    os.pwrite(file, b"\x00", places[2].offset - 1)
    assert [place for _, place in frames(file, Place())] == places[:2]
    assert list(frames(file, Place(7, places[0].offset))) == []
    os.close(file)
    spool.remove()


def test_a_disk_that_refuses_costs_no_row(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with Journal(engine) as journal:
        opened(journal)
        monkeypatch.setattr("monitoring.spool.os.pwrite", full)
        written = [batch() for _ in range(5)]
        asyncio.run(write(journal, *written))
        ids = {score_id for one in written for score_id in one.score_ids}
        assert ids <= set(kept(engine))
        monkeypatch.undo()


def test_p10_a_journal_that_opens_takes_over_the_spools_of_the_dead_and_leaves_those_of_the_living(
    engine: Engine, folder: Path
) -> None:
    with closing(raw(engine)) as connection:
        dead, living = open_spool(connection, folder), open_spool(connection, folder)
        assert dead.append(records(5))
        assert living.append(records(7))
        dead.close()
        adopt(connection, folder)
        assert [file.stem for file in spools(engine)] == [living.name]
        assert len(kept(engine)) == 5
        assert connection.execute("SELECT name FROM journal_spools").fetchall() == [(living.name,)]
        drain(connection, folder)
        assert len(kept(engine)) == 12
        living.close()


def test_a_database_that_never_heard_of_a_spool_takes_its_rows(engine: Engine, folder: Path) -> None:
    with closing(raw(engine)) as connection:
        spool = open_spool(connection, folder)
        assert spool.append(records(4))
        spool.close()
        connection.execute("DROP TABLE journal_spools")
        with reading(engine):
            pass
        assert kept(engine) == []  # whether its process lives is not known here
    with Journal(engine):
        pass
    assert len(kept(engine)) == 4
    assert spools(engine) == []


def test_p10_killed_while_rows_are_moved_each_is_there_exactly_once(engine: Engine, killable: ForkServer) -> None:
    told = {
        score_id
        for _ in range(3)
        for score_id in acknowledged(killable, "batches", str(engine.url), random.randint(20, 600), 0.001)
    }
    assert spools(engine), "nothing was left behind: the spool was not used"
    with Journal(engine):
        pass
    ids = kept(engine)
    assert told <= set(ids)
    assert len(ids) == len(set(ids))
    assert spools(engine) == []


def test_a_long_write_ahead_log_begins_anew(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.insertion._LONG_LOG", 40_000)
    with Journal(engine) as journal:
        opened(journal)
        journal.write(batch(500))
        journal._database.tidy()
        log = Path(f"{engine.url.database}-wal")
        before = log.stat().st_size
        journal.write(batch(20))
        assert log.stat().st_size == before


def test_rows_with_ids_of_their_own_are_looked_for_in_the_table(engine: Engine) -> None:
    row = JournalRow("fraud", "api", {"amount": 1.0}, {"fraud": 0.5}, "1", 1.0)
    with Journal(engine) as journal:
        opened(journal)
        asyncio.run(journal.write_async([row]))
        assert row.score_id in kept(engine)
        with engine.connect() as connection:
            assert (
                connection.execute(text("SELECT count(*) FROM journal WHERE score_id = :id"), {"id": row.score_id}).scalar() == 1
            )


def test_rows_that_nobody_waits_for_open_no_transaction_of_their_own(engine: Engine) -> None:
    create_tables(engine)
    with Journal(engine) as journal:
        opened(journal)
        with closing(raw(engine)) as other:
            other.execute("BEGIN IMMEDIATE")  # no transaction could begin
            rows = list(batch(3))
            journal.write_unawaited(rows)
            other.execute("ROLLBACK")
        found = set(journal.window("fraud", now() - DAY, now() + DAY)["score_id"])
    assert {row.score_id for row in rows} <= found


def test_rows_that_nobody_waits_for_are_kept_where_there_is_no_spool_and_refused_after_the_end(database_url: str) -> None:
    with Journal(open_database(database_url)) as journal:
        row = batch()[0]
        journal.write_unawaited([row])
        assert row.score_id in set(journal.window("fraud", now() - DAY, now() + DAY)["score_id"])
    with pytest.raises(JournalClosed):
        journal.write_unawaited([batch()[0]])
