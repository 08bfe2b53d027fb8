"""The journal's promises: durable when write returns, complete, bounded, shared commits."""

import asyncio
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import RFC_4122, UUID

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from sqlalchemy import Engine, event, make_url, text

from clock import now
from database import NotDurable, open_database
from features.layouts import layout_of
from identifiers import new_ids
from monitoring.journal import Journal, JournalBatch, JournalClosed, JournalFull, JournalNotWritten, JournalRow, UnfitRow
from monitoring.rows import JOURNAL
from tests.fork_server import ForkServer
from tests.monitoring.killed import WAYS, acknowledged

DAY = timedelta(days=1)


def row(**fields: object) -> JournalRow:
    given = {"use_case": "fraud", "source": "api", "features": {"amount": 10.0}, "score": {"fraud": 0.25}}
    return JournalRow(**{**given, "model_version": "3", "latency_ms": 1.5, **fields})  # type: ignore[arg-type]


def batch(rows: int, **fields: object) -> JournalBatch:
    """Scores of one request over three features, of which the second is missing now and then."""
    features = np.arange(rows * 3, dtype=np.float64).reshape(rows, 3) * 1.25
    features[::3, 1] = np.nan
    given = {
        "use_case": "fraud",
        "source": "api",
        "layout": layout_of(("amount", "hour", "weekday")),
        "features": features,
        "output": "fraud",
        "scores": [index / rows for index in range(rows)],
        "decisions": ["low", "medium", "high"] * (rows // 3) + ["low"] * (rows % 3),
        "client_ids": [None if index % 4 == 0 else f"Клиент {index}" for index in range(rows)],
        "score_ids": new_ids(rows),
        "model_version": "3",
        "latency_ms": 1.5,
    }
    return JournalBatch(**{**given, **fields})  # type: ignore[arg-type]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_database(database_url)
    yield engine
    engine.dispose()


def in_threads(work: list) -> list[BaseException | None]:
    """Run every piece of work in a thread of its own; its error or None, in order."""
    errors: list[BaseException | None] = [None] * len(work)

    def run(index: int) -> None:
        try:
            work[index]()
        except Exception as error:  # noqa: BLE001 - handed to the test
            errors[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


@contextmanager
def locked(engine: Engine) -> Iterator[object]:
    """Keep every writer of the journal out while the block runs."""
    lock = "LOCK TABLE journal IN ACCESS EXCLUSIVE MODE" if engine.dialect.name == "postgresql" else "SELECT 1"
    with engine.begin() as connection:
        connection.execute(text(lock))
        yield connection


def until_pending(journal: Journal, rows: int) -> None:
    """Wait until so many rows were let in and are not written yet."""
    with journal._changed:
        journal._changed.wait_for(lambda: journal.pending == rows)


@contextmanager
def slow(engine: Engine) -> Iterator[None]:
    """Have another writer hold the database for five milliseconds again and again while the block runs."""
    stopped = threading.Event()

    def hold() -> None:
        while not stopped.is_set():
            with locked(engine):
                time.sleep(0.005)
            time.sleep(0.001)  # SQLite is not fair: who asks again at once may keep others out for as long as they wait

    holder = threading.Thread(target=hold)
    holder.start()
    yield
    stopped.set()
    holder.join()


def test_a_row_comes_back_with_every_field_of_the_contract(engine: Engine) -> None:
    written = row(
        client_id="Клиент 7",
        features={"amount": 10.0, "os": None, "share": float("nan"), "phone": "x"},
        decision={"fraud": "high"},
        is_simulation=True,
        status="failed",
        error="no such column",
        ts=datetime(2026, 3, 1, 5, tzinfo=UTC),
    )
    with Journal(engine) as journal:
        journal.write([written])
        found = journal.window("fraud", written.ts, written.ts + DAY)
    assert {column.name for column in JOURNAL.c} == {
        *("score_id", "ts", "use_case", "client_id", "source", "is_simulation", "features", "score", "decision"),
        *("model_version", "latency_ms", "status", "error"),
    }
    kept = found.iloc[0].to_dict()
    for name in (
        "score_id",
        "ts",
        "use_case",
        "client_id",
        "source",
        "is_simulation",
        "model_version",
        "latency_ms",
        "status",
        "error",
    ):
        assert kept[name] == getattr(written, name), name
    assert (kept["feature_amount"], kept["feature_phone"]) == (10.0, "x")
    assert pd.isna(kept["feature_os"])
    assert pd.isna(kept["feature_share"])
    assert (kept["prediction_fraud"], kept["decision_fraud"]) == (0.25, "high")


def test_a_use_case_with_several_outputs_has_a_column_for_each(engine: Engine) -> None:
    with Journal(engine) as journal:
        journal.write([row(use_case="prescoring", score={"bank_a": 0.7, "bank_b": 0.1}, decision={"bank_a": "approve"})])
        found = journal.window("prescoring", now() - DAY, now() + DAY)
    assert found.filter(regex="^(prediction|decision)_").iloc[0].to_dict() == {
        "prediction_bank_a": 0.7,
        "prediction_bank_b": 0.1,
        "decision_bank_a": "approve",
    }


def test_the_window_is_half_open_in_utc_and_sorted(engine: Engine) -> None:
    start = datetime(2026, 3, 29, tzinfo=UTC)
    almaty = datetime.fromisoformat("2026-03-29T05:00:00+05:00")  # the same moment as `start`
    rows = [row(ts=start + timedelta(hours=2)), row(ts=almaty), row(ts=start + DAY), row(ts=start - timedelta(microseconds=1))]
    with Journal(engine) as journal:
        journal.write([*rows, row(use_case="income", ts=start)])
        found = journal.window("fraud", start, start + DAY)
        empty = journal.window("fraud", start + 2 * DAY, start + 3 * DAY)
    assert found.score_id.tolist() == [rows[1].score_id, rows[0].score_id]
    assert empty.empty


def test_a_sample_holds_real_scores_of_the_version_only_and_the_seed_decides_which(engine: Engine) -> None:
    real = [row(score_id=f"{index:03}") for index in range(300)]
    others = [row(is_simulation=True), row(status="failed", score=None), row(model_version="2"), row(use_case="income")]
    with Journal(engine) as journal:
        journal.write([*real, *others])
        first, again, other = (journal.sample("fraud", "3", now() - DAY, now() + DAY, 40, seed) for seed in (1, 1, 2))
        everything = journal.sample("fraud", "3", now() - DAY, now() + DAY, 1000, 1)
    assert (len(first.frame), first.total) == (40, 300)
    assert set(first.frame.score_id) == set(again.frame.score_id) != set(other.frame.score_id)
    assert set(everything.frame.score_id) == {one.score_id for one in real}


@pytest.mark.parametrize("rows", [1, 9, 1357])
def test_a_batch_comes_back_as_its_rows_written_one_by_one_would(engine: Engine, rows: int) -> None:
    written = batch(rows)
    others = [replace(one, score_id=one.score_id + "x", use_case="alone") for one in written]
    with Journal(engine) as journal:
        journal.write(written)
        journal.write(others)
        together = journal.window("fraud", now() - DAY, now() + DAY).set_index("score_id")
        alone = journal.window("alone", now() - DAY, now() + DAY).set_index("score_id")
    assert set(together.index) == set(written.score_ids)
    alone.index = alone.index.str.removesuffix("x")
    pd.testing.assert_frame_equal(together.drop(columns="use_case"), alone.loc[together.index].drop(columns="use_case"))


def test_rows_of_several_layouts_are_read_together_and_by_another_process(engine: Engine) -> None:
    other = batch(2, layout=layout_of(("amount", "hour", "score")))
    with Journal(engine) as journal:
        journal.write(batch(2))
        journal.write(other)
        journal.write([row()])
    with Journal(engine) as reader:
        found = reader.window("fraud", now() - DAY, now() + DAY)
        sample = reader.sample("fraud", "3", now() - DAY, now() + DAY, 3, 1)
    assert found.feature_amount.notna().all()
    assert (found.feature_weekday.notna().sum(), found.feature_score.notna().sum()) == (2, 2)
    assert (sample.total, len(sample.frame)) == (5, 3)


def test_of_a_large_batch_that_the_database_refuses_nothing_is_kept(engine: Engine) -> None:
    ids = new_ids(2500)
    with Journal(engine) as journal:
        journal.write([row(score_id=ids[-1])])
        with pytest.raises(JournalNotWritten):
            journal.write(batch(2500, score_ids=ids))
        journal.write([row()])
        assert len(journal.window("fraud", now() - DAY, now() + DAY)) == 2


def test_of_a_large_batch_for_which_there_is_no_room_nothing_is_kept_and_the_reason_is_told(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'journal.db'}")
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count = 100"))
    with Journal(engine) as journal:
        with pytest.raises(JournalNotWritten) as refused:
            journal.write(batch(5000))
        assert "disk is full" in str(refused.value)
        journal.write([row()])
        assert len(journal.window("fraud", now() - DAY, now() + DAY)) == 1


def test_the_names_of_features_are_stored_once(engine: Engine) -> None:
    with Journal(engine) as journal:
        for _ in range(3):
            journal.write(batch(4))
    with Journal(engine) as journal:
        journal.write(batch(4))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM journal_layouts")).scalar_one() == 1


def test_score_ids_are_unique_uuids_that_grow_with_time() -> None:
    first, second = new_ids(1000), []
    time.sleep(0.002)
    second = new_ids(1000)
    assert len({*first, *second}) == 2000
    assert {UUID(one).version for one in first} == {7}
    assert {UUID(one).variant for one in first} == {RFC_4122}
    assert max(first) < min(second)


def test_a_batch_with_a_client_that_cannot_be_stored_is_refused_whole(tmp_path: Path) -> None:
    with Journal(open_database(f"sqlite:///{tmp_path / 'journal.db'}")) as journal:
        with pytest.raises(UnfitRow):
            journal.write(batch(2, client_ids=["good", "a\x00b"]))
        assert journal.window("fraud", now() - DAY, now() + DAY).empty


def test_awaiting_callers_share_commits_and_the_loop_runs_on(engine: Engine) -> None:
    rows = [row() for _ in range(300)]
    ticks = 0

    async def ticking() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    async def all_of_them(journal: Journal) -> None:
        clock = asyncio.create_task(ticking())
        await asyncio.gather(*(journal.write_async([one]) for one in rows), journal.write_async(batch(1000)))
        clock.cancel()

    with Journal(engine) as journal, slow(engine):
        asyncio.run(all_of_them(journal))
        found = journal.window("fraud", now() - DAY, now() + DAY)
        assert journal.commits <= 3
    assert len(found) == 1300
    assert {one.score_id for one in rows} <= set(found.score_id)
    assert ticks


def test_a_full_queue_makes_awaiting_callers_wait_in_order_and_then_says_so(engine: Engine) -> None:
    async def overfill(journal: Journal) -> tuple[list[JournalRow], list[BaseException | None]]:
        with locked(engine):
            first = asyncio.create_task(journal.write_async(batch(5)))
            while journal.pending != 5:
                await asyncio.sleep(0.001)
            started = time.monotonic()
            refused = await asyncio.gather(journal.write_async([row()]), return_exceptions=True)
            assert time.monotonic() - started >= 1.5
            patient = [row() for _ in range(7)]
            waiting = [asyncio.create_task(journal.write_async([one])) for one in patient]
            await asyncio.sleep(0.1)
        await first
        await asyncio.gather(*waiting)
        return patient, refused

    with Journal(engine, capacity=5, patience=1.5) as journal:
        patient, refused = asyncio.run(overfill(journal))
        found = journal.window("fraud", now() - DAY, now() + DAY)
    assert [type(one) for one in refused] == [JournalFull]
    assert {one.score_id for one in patient} < set(found.score_id)
    assert len(found) == 12


def test_an_awaiting_caller_that_goes_away_while_it_waits_for_room_leaves_nothing(engine: Engine) -> None:
    gone = row()

    async def leave(journal: Journal) -> None:
        with locked(engine):
            first = asyncio.create_task(journal.write_async(batch(5)))
            await asyncio.sleep(0.1)
            caller = asyncio.create_task(journal.write_async([gone]))
            await asyncio.sleep(0.05)
            caller.cancel()
            await asyncio.gather(caller, return_exceptions=True)
        await first
        await journal.write_async([row()])

    with Journal(engine, capacity=5) as journal:
        asyncio.run(leave(journal))
        found = journal.window("fraud", now() - DAY, now() + DAY)
    assert gone.score_id not in set(found.score_id)
    assert (len(found), journal.pending) == (6, 0)


def test_closing_tells_awaiting_callers_for_whom_there_was_no_room(engine: Engine) -> None:
    async def close(journal: Journal) -> list[BaseException | None]:
        with locked(engine):
            calls = [asyncio.create_task(journal.write_async(rows)) for rows in (batch(5), [row()])]
            await asyncio.sleep(0.1)
            closing = asyncio.create_task(asyncio.to_thread(journal.close))
            await asyncio.sleep(0.1)
        await closing
        return await asyncio.gather(*calls, return_exceptions=True)

    told = asyncio.run(close(Journal(engine, capacity=5)))
    assert [type(one) for one in told] == [type(None), JournalClosed]


def test_a_database_that_refuses_is_told_to_every_awaiting_caller(engine: Engine) -> None:
    twice = row()

    async def collide(journal: Journal) -> list[BaseException | None]:
        await journal.write_async([twice])
        with locked(engine):
            calls = [asyncio.create_task(journal.write_async(rows)) for rows in ([row()], [row(), twice], batch(3))]
            await asyncio.sleep(0.1)
        return await asyncio.gather(*calls, return_exceptions=True)

    with Journal(engine) as journal:
        told = asyncio.run(collide(journal))
        assert len(journal.window("fraud", now() - DAY, now() + DAY)) == 5
    assert [type(one) for one in told] == [type(None), JournalNotWritten, type(None)]


def test_rows_that_wait_are_a_figure_which_comes_back_whether_they_are_kept_or_not(engine: Engine) -> None:
    def waiting() -> float:
        return REGISTRY.get_sample_value("opora_journal_queue_rows") or 0.0

    before, twice = waiting(), row()
    with Journal(engine) as journal:
        journal.write([twice])
        with locked(engine):
            writers = [threading.Thread(target=in_threads, args=([lambda: journal.write([row(), row(), twice])],))]
            writers += [threading.Thread(target=journal.write, args=([row(), row()],))]
            for writer in writers:
                writer.start()
            until_pending(journal, 5)
            assert waiting() == before + 5
        for writer in writers:
            writer.join()
    assert waiting() == before


def test_rows_of_concurrent_callers_are_all_there_and_share_commits(engine: Engine) -> None:
    rows = [[row() for _ in range(40)] for _ in range(8)]
    with Journal(engine) as journal, slow(engine):
        errors = in_threads([lambda mine=mine: [journal.write([one]) for one in mine] for mine in rows])
        found = journal.window("fraud", now() - DAY, now() + DAY)
    assert errors == [None] * 8
    assert set(found.score_id) == {one.score_id for mine in rows for one in mine}
    assert journal.commits <= 320 / 2


def test_a_batch_of_20_000_rows_is_one_transaction(engine: Engine) -> None:
    features = {f"feature {index}": index * 1.25 for index in range(30)}
    with Journal(engine) as journal:
        journal.write([row(features=features) for _ in range(20_000)])
        assert journal.commits == 1
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM journal")).scalar_one() == 20_000


def test_a_full_queue_makes_callers_wait_and_then_says_so_and_drops_nothing(engine: Engine) -> None:
    accepted = [row() for _ in range(5)]
    with Journal(engine, capacity=5, patience=0.3) as journal:
        with locked(engine):
            threads = [threading.Thread(target=journal.write, args=([one],)) for one in accepted]
            for thread in threads:
                thread.start()
            until_pending(journal, 5)
            started = time.monotonic()
            with pytest.raises(JournalFull, match="room for 5"):
                journal.write([row()])
            assert time.monotonic() - started >= 0.3
        for thread in threads:
            thread.join()
        journal.write([row()])  # room again
        found = journal.window("fraud", now() - DAY, now() + DAY)
    assert {one.score_id for one in accepted} < set(found.score_id)
    assert len(found) == 6


def test_a_call_larger_than_the_queue_is_let_in_alone(engine: Engine) -> None:
    with Journal(engine, capacity=5, patience=0.1) as journal:
        journal.write([row() for _ in range(50)])
        assert len(journal.window("fraud", now() - DAY, now() + DAY)) == 50


def test_a_write_error_reaches_every_caller_of_the_batch_and_the_journal_lives_on(engine: Engine) -> None:
    with Journal(engine) as journal:
        errors: list[BaseException | None] = []
        with locked(engine) as connection:
            callers = threading.Thread(target=lambda: errors.extend(in_threads([lambda: journal.write([row()])] * 3)))
            callers.start()
            until_pending(journal, 3)
            connection.execute(text("ALTER TABLE journal RENAME TO away"))
        callers.join()
        assert [type(error) for error in errors] == [JournalNotWritten] * 3
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE away RENAME TO journal"))
        journal.write([row()])
        assert len(journal.window("fraud", now() - DAY, now() + DAY)) == 1


def test_a_bad_row_costs_only_its_own_caller_and_the_error_quotes_no_values(engine: Engine) -> None:
    twice = row(score_id="canary-4711")
    with Journal(engine) as journal:
        journal.write([twice])
        results: list[BaseException | None] = []
        with locked(engine):
            work = [lambda: journal.write([row(), twice]), *[lambda: journal.write([row()])] * 3]
            callers = threading.Thread(target=lambda: results.extend(in_threads(work)))
            callers.start()
            until_pending(journal, 5)
        callers.join()
        found = journal.window("fraud", now() - DAY, now() + DAY)
    assert [type(error) for error in results] == [JournalNotWritten, *[type(None)] * 3]
    assert "canary" not in str(results[0])
    assert len(found) == 4  # the good row of the bad call is not kept either


def test_closing_writes_what_waits_and_then_refuses(engine: Engine) -> None:
    journal = Journal(engine)
    callers = [threading.Thread(target=journal.write, args=([row()],)) for _ in range(4)]
    with locked(engine):
        for caller in callers:
            caller.start()
        until_pending(journal, 4)
    journal.close()
    for caller in callers:
        caller.join()
    journal.close()
    with pytest.raises(JournalClosed):
        journal.write([row()])
    with Journal(engine) as reopened:
        assert len(reopened.window("fraud", now() - DAY, now() + DAY)) == 4


def test_services_that_start_together_make_the_table_once(database_url: str) -> None:
    engines = [open_database(database_url) for _ in range(6)]
    assert in_threads([lambda one=one: Journal(one).close() for one in engines]) == [None] * 6
    for one in engines:
        one.dispose()


@pytest.mark.parametrize("way", list(WAYS))
def test_p10_kill_9_right_after_write_returned_loses_nothing(database_url: str, way: str, killable: ForkServer) -> None:
    told = {score_id for _ in range(5) for score_id in acknowledged(killable, way, database_url, random.randint(1, 50))}
    with Journal(open_database(database_url)) as journal:
        found = set(journal.window("fraud", now() - DAY, now() + DAY).score_id)
    assert told
    assert told <= found


@pytest.mark.parametrize(
    "fields",
    [
        {"client_id": "a\x00b"},
        {"client_id": "\ud800"},
        {"features": {"f": object()}},
        {"score": {"fraud": "\ud800"}},
        {"ts": datetime(2026, 1, 1)},  # noqa: DTZ001 - the naive time is the point
    ],
)
def test_a_row_that_cannot_be_kept_is_refused_before_anything_is_written(fields: dict, tmp_path: Path) -> None:
    with Journal(open_database(f"sqlite:///{tmp_path / 'journal.db'}")) as journal:
        with pytest.raises(UnfitRow):
            journal.write([row(), row(**fields)])
        assert journal.window("fraud", now() - DAY, now() + DAY).empty


VALUES = st.one_of(
    st.none(), st.booleans(), st.floats(), st.integers(-(2**53), 2**53), st.text(st.characters(exclude_categories=["Cs"]))
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), VALUES))
def test_features_are_kept_as_they_are_and_whatever_is_no_number_is_missing(features: dict) -> None:
    kept = orjson.loads(row(features=features).columns()["features"])
    assert kept == {
        name: None if isinstance(value, float) and not np.isfinite(value) else value for name, value in features.items()
    }


def test_values_of_pandas_and_numpy_are_kept_too() -> None:
    features = {
        "a": np.float32(0.5),
        "b": np.int64(3),
        "c": pd.NA,
        "d": pd.Timestamp("2026-01-01"),
        "e": np.bool_(True),
        "f": pd.NaT,
    }
    assert orjson.loads(row(features=features).columns()["features"]) == {
        **{"a": 0.5, "b": 3, "c": None, "d": "2026-01-01T00:00:00", "e": True, "f": None}
    }


def test_p10_a_postgresql_that_may_lose_commits_is_refused() -> None:
    url = os.environ.get("OPORA_TEST_POSTGRES_URL")
    if not url:
        pytest.skip("no PostgreSQL: set OPORA_TEST_POSTGRES_URL to run this test on it")
    careless = make_url(url).update_query_dict({"options": "-csynchronous_commit=off"}).render_as_string(hide_password=False)
    with pytest.raises(NotDurable, match="synchronous_commit"):
        Journal(open_database(careless))


def test_p10_sqlite_commits_reach_the_disk(tmp_path: Path) -> None:
    with open_database(f"sqlite:///{tmp_path / 'journal.db'}").connect() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2  # FULL
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
