"""Promises of the durable queue: accepted once, computed by one, kept with its journal row or not at all."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import IntegrityError

from bentos.prescoring.queue import MOST_FAILURES, Task, TaskQueue
from clock import now
from monitoring.rows import JOURNAL, JournalRow, open_journal
from settings import Settings


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An empty database with a journal, of this test's own."""
    engine = open_journal(Settings(database_url=database_url))
    yield engine
    engine.dispose()


def row(score_id: str | None = None) -> JournalRow:
    named = {} if score_id is None else {"score_id": score_id}
    return JournalRow("prescoring", "api", {"monthprofit": 1.0}, {"bank_a": 0.5}, "1", 1.0, **named)  # type: ignore[arg-type]


def journalled(engine: Engine) -> int:
    with engine.connect().execution_options(read_only=True) as connection:
        return connection.execute(select(func.count()).select_from(JOURNAL)).scalar_one()


def taken(queue: TaskQueue) -> Task:
    task = queue.take()
    assert task is not None
    return task


def test_a_task_that_was_put_twice_is_there_once_and_in_the_order_of_arrival(engine: Engine) -> None:
    queue = TaskQueue(engine)
    for name in ("first", "second", "first"):
        assert queue.put(name, {"form": name}).state == "waiting"
    assert queue.waiting() == 2
    assert [dict(taken(queue).payload) for _ in range(2)] == [{"form": "first"}, {"form": "second"}]
    assert queue.take() is None


def test_twenty_callers_at_once_put_one_task_and_one_of_them_gets_it(engine: Engine) -> None:
    queue = TaskQueue(engine)
    start = threading.Barrier(20)

    def call(_: int) -> Task | None:
        start.wait()
        return queue.take_this("same", {"form": 1})

    with ThreadPoolExecutor(20) as callers:
        tasks = list(callers.map(call, range(20)))
    assert sum(task is not None for task in tasks) == 1
    assert queue.waiting() == 1


def test_callers_who_wait_for_a_held_task_neither_wait_for_the_database_nor_keep_others_from_it(engine: Engine) -> None:
    queue = TaskQueue(engine)
    assert queue.take_this("held", {}) is not None
    with ThreadPoolExecutor(1) as caller, engine.begin() as writer:
        writer.execute(text("UPDATE prescoring_tasks SET claims = claims"))
        assert caller.submit(queue.take_this, "held", {}).result(timeout=5) is None


def test_many_workers_share_the_tasks_without_taking_one_twice(engine: Engine) -> None:
    queue = TaskQueue(engine)
    for number in range(60):
        queue.put(f"{number:03d}", {})
    done: list[str] = []

    def work(_: int) -> None:
        while queue.waiting():
            task = queue.take()
            if task is not None:
                assert queue.finish(task, "{}", row())
                done.append(task.task_id)

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(work, range(4)))
    assert sorted(done) == [f"{number:03d}" for number in range(60)]
    assert journalled(engine) == 60


def test_a_finished_task_has_its_result_and_its_journal_row_and_is_not_computed_again(engine: Engine) -> None:
    queue = TaskQueue(engine)
    queue.put("one", {})
    assert queue.finish(taken(queue), '{"a":1}', row())
    progress = queue.put("one", {})
    assert (progress.state, progress.result) == ("done", '{"a":1}')
    assert queue.take_this("one", {}) is None
    assert queue.take() is None
    assert journalled(engine) == 1


def test_a_result_is_not_kept_without_its_journal_row(engine: Engine) -> None:
    queue = TaskQueue(engine)
    for name in ("one", "two"):
        queue.put(name, {})
    assert queue.finish(taken(queue), "{}", row("taken-already"))
    other = taken(queue)
    with pytest.raises(IntegrityError):
        queue.finish(other, "{}", row("taken-already"))
    progress = queue.progress("two")
    assert progress is not None
    assert progress.state == "waiting"
    assert queue.finish(other, "{}", row())
    assert journalled(engine) == 2


def test_of_two_holders_only_the_one_whose_lease_holds_can_finish(engine: Engine) -> None:
    hasty = TaskQueue(engine, lease_seconds=0.05)
    hasty.put("one", {})
    slow = taken(hasty)
    assert hasty.take() is None
    time.sleep(0.1)
    quick = taken(hasty)
    assert not hasty.finish(slow, '{"by":"slow"}', row())
    assert journalled(engine) == 0
    assert hasty.finish(quick, '{"by":"quick"}', row())
    assert not hasty.finish(slow, '{"by":"slow"}', row())
    progress = hasty.progress("one")
    assert progress is not None
    assert progress.result == '{"by":"quick"}'
    assert journalled(engine) == 1


def test_a_task_whose_worker_died_stands_behind_those_that_nobody_tried(engine: Engine) -> None:
    queue = TaskQueue(engine, lease_seconds=0.05)
    queue.put("deadly", {})
    taken(queue)
    queue.put("harmless", {})
    time.sleep(0.1)
    assert [taken(queue).task_id, taken(queue).task_id] == ["harmless", "deadly"]


def test_a_task_that_fails_again_and_again_is_given_up_with_the_reason_and_starts_anew_when_put_again(engine: Engine) -> None:
    queue = TaskQueue(engine)
    queue.put("poison", {})
    attempts = 0
    while queue.waiting():
        task = queue.take()
        if task is None:
            time.sleep(0.05)
            continue
        attempts += 1
        queue.fail(task, "ZeroDivisionError")
    progress = queue.progress("poison")
    assert progress is not None
    assert (attempts, progress.state, progress.error) == (MOST_FAILURES, "failed", "ZeroDivisionError")
    assert queue.put("poison", {}).state == "waiting"
    assert queue.finish(taken(queue), "{}", row())
    progress = queue.progress("poison")
    assert progress is not None
    assert (progress.state, progress.error) == ("done", None)


def test_finished_tasks_are_forgotten_with_their_forms_and_waiting_ones_are_kept(engine: Engine) -> None:
    queue = TaskQueue(engine)
    for name in ("old", "waiting"):
        queue.put(name, {"monthprofit": 4711})
    queue.finish(taken(queue), "{}", row())
    assert queue.forget(now() - timedelta(minutes=1)) == 0
    assert queue.forget(now() + timedelta(seconds=1)) == 1
    assert queue.progress("old") is None
    assert queue.progress("waiting") is not None
    assert journalled(engine) == 1
