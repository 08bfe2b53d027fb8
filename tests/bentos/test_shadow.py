"""The challenger in shadow: it scores live rows into the journal, and neither the answer nor its time shows it."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pandas as pd
import psutil
import pytest
from prometheus_client import REGISTRY
from starlette.testclient import TestClient

from bentos.fraud.service import fraud_app
from bentos.serving.application import guarded
from bentos.serving.backend import Backend
from clock import now
from monitoring.health import SHADOW
from monitoring.rows import JournalRow
from registry import models
from settings import Settings

PATH = "/api/v1/score_transaction"


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("opora_shadow_rows_total", {"use_case": "fraud", "outcome": outcome}) or 0.0


def journalled(backend: Backend) -> pd.DataFrame:
    return backend.journal.window("fraud", now() - timedelta(minutes=5), now() + timedelta(minutes=5))


def shadows(backend: Backend) -> pd.DataFrame:
    frame = journalled(backend)
    return frame[frame.source == SHADOW]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, promote_in: Callable[[Settings, str, int], str]) -> Settings:
    """A bank whose fraud model has a champion (version 1) and a challenger (version 2)."""
    config = Settings(var=tmp_path_factory.mktemp("shadow"), champion_poll_seconds=0.3, shadow_share=1.0)
    first, second = promote_in(config, "fraud", 1), promote_in(config, "fraud", 2)
    api = models.client(config)
    api.set_registered_model_alias("fraud", models.CHAMPION, first)
    api.set_registered_model_alias("fraud", models.CHALLENGER, second)
    return config


def started(config: Settings) -> Backend:
    """The fraud backend, once its challenger is ready unless it has no share."""
    backend = Backend("fraud", config)
    backend.champion.look()
    backend.start()
    if config.shadow_share:
        assert wait_until(lambda: backend.shadow.version is not None)
    return backend


@pytest.fixture(scope="module")
def backend(house: Settings) -> Iterator[Backend]:
    """For the tests that leave the challenger as it is."""
    backend = started(house)
    yield backend
    backend.stop()


@pytest.fixture(scope="module")
def client(backend: Backend) -> TestClient:
    return client_of(backend)


@pytest.fixture
def start(house: Settings) -> Iterator[Callable[..., Backend]]:
    """Opens another backend with other settings."""
    opened: list[Backend] = []

    def opener(**changes: Any) -> Backend:
        opened.append(started(house.model_copy(update=changes)))
        return opened[-1]

    yield opener
    for backend in opened:
        backend.stop()


def client_of(backend: Backend) -> TestClient:
    return TestClient(guarded(fraud_app(backend), backend.config), base_url="http://127.0.0.1")


def test_the_challenger_scores_the_champions_rows_into_the_journal_and_never_into_the_answer(
    backend: Backend, client: TestClient
) -> None:
    answers = [client.post(PATH, json={"amount": amount}).json() for amount in (10, 20_000, 900_000)]
    assert {answer["model_version"] for answer in answers} == {"1"}
    ids = {f"{answer['score_id']}.shadow.2" for answer in answers}
    assert wait_until(lambda: ids <= set(shadows(backend).score_id))
    frame = journalled(backend).set_index("score_id")
    challenger = models.load_version("fraud", "2", backend.config).scorer
    for answer in answers:
        real, shadow = frame.loc[answer["score_id"]], frame.loc[f"{answer['score_id']}.shadow.2"]
        assert (shadow.model_version, shadow.status, bool(shadow.is_simulation)) == ("2", "ok", True)
        row = pd.DataFrame([{name: real[f"feature_{name}"] for name in challenger.columns}])
        assert shadow.prediction_fraud == pytest.approx(challenger.predict(row)["fraud"][0], rel=1e-6)
        assert shadow.prediction_fraud != answer["fraud_probability"]
        assert shadow.ts == real.ts


def test_drift_does_not_take_shadow_rows_for_scores_that_were_given(backend: Backend, client: TestClient) -> None:
    client.post(PATH, json={"amount": 77})
    assert wait_until(lambda: len(shadows(backend)) > 0)
    minutes = now() - timedelta(minutes=5), now() + timedelta(minutes=5)
    assert backend.journal.sample("fraud", "2", *minutes, most=100, seed=1).total == 0
    assert backend.journal.sample("fraud", "1", *minutes, most=100, seed=1).total > 0


def lacking(backend: Backend) -> JournalRow:
    """A row without the columns of the challenger, which is counted and not scored."""
    return backend.row(backend.champion.model(), {"amount": 1.0}, {"fraud": 0.5}, time.perf_counter(), None)


def send(backend: Backend, number: int) -> None:
    """Have the process of the challenger get a signal."""
    challenger = backend.shadow._challenger
    assert challenger is not None
    os.kill(challenger.process_id, number)


def test_only_the_share_that_is_asked_for_is_scored(start: Callable[..., Backend]) -> None:
    backend = start(shadow_share=0.2, shadow_queue=100_000)
    row, before = lacking(backend), counted("incomplete")
    for _ in range(2000):
        backend.shadow.offer([row])
    assert wait_until(lambda: not backend.shadow._waiting)
    assert 300 < counted("incomplete") - before < 500


def test_without_a_share_nothing_is_loaded(start: Callable[..., Backend]) -> None:
    backend = start(shadow_share=0.0)
    client_of(backend).post(PATH, json={"amount": 5})
    time.sleep(0.3)
    assert backend.shadow.version is None
    assert not backend.shadow._thread.is_alive()


def test_what_the_queue_has_no_room_for_is_dropped_and_counted(start: Callable[..., Backend]) -> None:
    backend = start(shadow_queue=10)
    send(backend, signal.SIGSTOP)
    before = counted("dropped")
    client = client_of(backend)
    for amount in range(40):
        assert client.post(PATH, json={"amount": amount}).status_code == 200
    assert counted("dropped") - before >= 40 - 2 * 10
    assert len(backend.shadow._waiting) <= 10


def test_a_batch_that_the_queue_has_no_room_for_is_dropped_without_making_its_rows(start: Callable[..., Backend]) -> None:
    class Batch(list[JournalRow]):
        def __iter__(self) -> Iterator[JournalRow]:
            raise AssertionError("a row was made")

    backend = start(shadow_queue=10)
    before = counted("dropped")
    backend.shadow.offer(Batch([lacking(backend)] * 11))
    assert counted("dropped") == before + 11


def test_a_challenger_that_cannot_score_is_news_for_the_journal_only(backend: Backend, client: TestClient) -> None:
    challenger = backend.shadow._challenger
    assert challenger is not None
    needed, challenger.columns = challenger.columns, challenger.columns[1:]  # so that it gets rows that it cannot read
    answer = client.post(PATH, json={"amount": 654_321}).json()
    name = f"{answer['score_id']}.shadow.2"
    assert wait_until(lambda: name in set(shadows(backend).score_id))
    row = shadows(backend).set_index("score_id").loc[name]
    assert (row.status, row.error) == ("failed", "ValueError")
    challenger.columns = needed
    answer = client.post(PATH, json={"amount": 123_456}).json()
    assert wait_until(lambda: f"{answer['score_id']}.shadow.2" in set(shadows(backend).score_id))


def test_a_row_that_lacks_a_column_of_the_challenger_is_not_guessed(backend: Backend) -> None:
    row, before = lacking(backend), counted("incomplete")
    backend.shadow.offer([row])
    assert wait_until(lambda: counted("incomplete") == before + 1)
    assert f"{row.score_id}.shadow.2" not in set(shadows(backend).score_id)


def test_a_challenger_that_becomes_champion_leaves_the_shadow(start: Callable[..., Backend], house: Settings) -> None:
    backend = start()
    api = models.client(house)
    api.set_registered_model_alias("fraud", models.CHAMPION, "2")
    assert wait_until(lambda: backend.shadow.version is None)
    assert wait_until(lambda: backend.champion.model().version == "2")
    api.set_registered_model_alias("fraud", models.CHAMPION, "1")
    assert wait_until(lambda: backend.shadow.version == "2")


def test_a_damaged_challenger_is_refused_and_the_champion_does_not_notice(
    start: Callable[..., Backend],
    house: Settings,
    promote_in: Callable[[Settings, str, int], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend = start()
    version = promote_in(house, "fraud", 3)
    api = models.client(house)
    api.set_model_version_tag("fraud", version, models.SHA256_TAG, "0" * 64)
    api.set_registered_model_alias("fraud", models.CHAMPION, "1")
    api.set_registered_model_alias("fraud", models.CHALLENGER, version)
    assert wait_until(lambda: "challenger: DamagedModel" in caplog.text)
    assert wait_until(lambda: backend.shadow.version is None)  # the shadow of the module's backend may have complained first
    assert client_of(backend).post(PATH, json={"amount": 1}).json()["model_version"] == "1"
    api.set_registered_model_alias("fraud", models.CHALLENGER, "2")
    assert wait_until(lambda: backend.shadow.version == "2")


@pytest.mark.parametrize("fault", [signal.SIGSTOP, signal.SIGKILL, signal.SIGSEGV], ids=["hangs", "dies", "crashes"])
def test_scores_go_on_while_a_challenger_hangs_or_crashes_and_it_is_started_again(
    start: Callable[..., Backend], monkeypatch: pytest.MonkeyPatch, fault: int
) -> None:
    monkeypatch.setattr("bentos.challenger._SCORING_SECONDS", 0.5)
    monkeypatch.setattr("bentos.shadow._RETRY_SECONDS", 0.0)
    backend = start()
    lost, first = counted("lost"), backend.shadow._challenger
    assert first is not None
    send(backend, fault)
    client = client_of(backend)
    for amount in range(20):
        assert client.post(PATH, json={"amount": amount}).json()["model_version"] == "1"
    assert wait_until(lambda: counted("lost") > lost)
    assert wait_until(lambda: backend.shadow._challenger is not first and backend.shadow.version == "2")
    answer = client.post(PATH, json={"amount": 1}).json()
    assert wait_until(lambda: f"{answer['score_id']}.shadow.2" in set(shadows(backend).score_id))


def test_a_challenger_that_takes_no_more_is_given_up_though_the_pipe_to_it_is_full(
    start: Callable[..., Backend], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bentos.challenger._SCORING_SECONDS", 0.5)
    monkeypatch.setattr("bentos.shadow._MOST_TOGETHER", 3000)
    backend = start(shadow_queue=3000)
    lost = counted("lost")
    send(backend, signal.SIGSTOP)
    client_of(backend).post("/api/v1/score_batch", json={"items": [{"amount": amount} for amount in range(3000)]})
    assert wait_until(lambda: counted("lost") == lost + 3000)


def test_a_challenger_ends_with_its_service(start: Callable[..., Backend]) -> None:
    backend = start()
    challenger = backend.shadow._challenger
    assert challenger is not None
    backend.stop()
    assert not psutil.pid_exists(challenger.process_id)
