"""A form that was accepted is completed exactly once, whenever and however often its workers are killed.

OPORA_KILLS sets how often; by default a few times, in half a minute.
"""

import multiprocessing
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from sqlalchemy import Engine, text

from bentos.prescoring import worker as prescoring_worker
from bentos.prescoring.form import ApplicationForm
from bentos.prescoring.queue import TaskQueue
from database import open_database
from monitoring.journal import Journal
from settings import Settings

KILLS = int(os.environ.get("OPORA_KILLS", "20"))
WORKERS = 2
HELD = "SELECT count(*) FROM prescoring_tasks WHERE state = 'waiting' AND lease IS NOT NULL"

pytestmark = pytest.mark.integration


@pytest.fixture(params=["sqlite", "postgresql"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of a bank of its own, with a lease that the test can wait for."""
    bank = Settings(var=tmp_path, prescoring_lease_seconds=0.6, champion_poll_seconds=0.1, shadow_share=0)
    if request.param == "sqlite":
        return bank
    return bank.model_copy(update={"database_url": request.getfixturevalue("postgres_url")})


def held(engine: Engine) -> bool:
    with engine.connect().execution_options(read_only=True) as connection:
        return connection.execute(text(HELD)).scalar_one() > 0


def wait_until(true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "the workers do not get on"
        time.sleep(0.002)


def test_kills_of_real_workers_neither_lose_nor_double_a_form(
    config: Settings, promote_in: Callable[[Settings, str, int], str]
) -> None:
    promote_in(config, "prescoring", 1)
    engine = open_database(config.database("journal"))
    Journal(engine).close()
    queue, forms, rng = TaskQueue(engine), 0, random.Random(config.seed)
    processes = multiprocessing.get_context("forkserver")  # a fork of a process that has the libraries starts in no time
    processes.set_forkserver_preload(["bentos.prescoring.worker", "registry.models", "registry.loading"])

    def started() -> multiprocessing.process.BaseProcess:
        worker = processes.Process(target=prescoring_worker.work, args=(config,), daemon=True)
        worker.start()
        return worker

    def accept(number: int) -> None:
        form = ApplicationForm(monthprofit=100_000.0 + number, loan_amount=200_000.0, loan_term=12.0)
        queue.put(form.task_id(), form.model_dump())

    workers = [started() for _ in range(WORKERS)]
    try:
        for _ in range(KILLS):
            while queue.waiting() < 20:
                accept(forms)
                forms += 1
            wait_until(lambda: held(engine), 60)
            time.sleep(rng.uniform(0, 0.08))
            victim = workers.pop(rng.randrange(WORKERS))
            victim.kill()
            victim.join()
            workers.append(started())
        wait_until(lambda: queue.waiting() == 0, 120)
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
    with engine.connect().execution_options(read_only=True) as connection:
        results = connection.execute(text("SELECT task_id, result, claims FROM prescoring_tasks")).all()
        journalled = connection.execute(text("SELECT score_id FROM journal")).scalars().all()
    engine.dispose()
    assert len(results) == forms
    assert sum(claims > 1 for _, _, claims in results) > 0, "no kill hit a form in the middle: this run shows nothing"
    named = [orjson.loads(result)["score_id"] for _, result, _ in results]
    assert sorted(journalled) == sorted(named)
    assert all(orjson.loads(result)["task_id"] == task_id for task_id, result, _ in results)
