"""The services as processes, under BentoML."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from clock import now
from database import open_database
from monitoring.journal import Journal
from settings import PROJECT, Settings

pytestmark = pytest.mark.integration

SERVICES = {
    "fraud": ("bentos.fraud:FraudService", "POST", "/api/v1/score_transaction", {"amount": 31000}, 200),
    "income": ("bentos.income:IncomeService", "POST", "/api/predictions", {"client_id": "nobody"}, 404),
    "prescoring": ("bentos.prescoring:PrescoringService", "POST", "/prescore", {"monthprofit": 1000}, 200),
    "recommendation": ("bentos.recommendation:RecommendationService", "GET", "/recommendations/nobody", None, 404),
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A service started as `make up` starts it, in a process group of its own."""

    def __init__(self, service: str, var: Path, port: int | None = None, **environment: str) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = var / f"{service}-{self.port}.log"
        env = os.environ | {"OPORA_VAR": str(var), "BENTOML_HOME": str(var / "bentoml"), "PYTHONPATH": str(PROJECT)} | environment
        command = [sys.executable, "-m", "bentoml", "serve", service, "--port", str(self.port)]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, env=env, cwd=PROJECT, stdout=log, stderr=log, start_new_session=True)

    def get(self, path: str) -> int:
        try:
            return httpx.get(self.url + path, timeout=5).status_code
        except httpx.HTTPError:
            return 0

    def wait(self, path: str, status: int, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while self.get(path) != status:
            if time.monotonic() > deadline or self._process.poll() is not None:
                pytest.fail(f"{path} never answered {status}:\n{self.log()}")
            time.sleep(0.05)

    def log(self) -> str:
        return self._log.read_text()

    def exit_status(self, seconds: float) -> int:
        return self._process.wait(seconds)

    def kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def starter(service: str, var: Path, port: int | None = None, **environment: str) -> Process:
        started.append(Process(service, var, port, **environment))
        return started[-1]

    yield starter
    for process in started:
        process.kill()


@pytest.fixture(scope="module")
def empty_bank(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A bank that has no model yet."""
    return Settings(var=tmp_path_factory.mktemp("empty"))


@pytest.mark.parametrize("use_case", list(SERVICES))
def test_a_service_is_live_before_it_has_a_champion_and_ready_once_one_exists(
    start: Callable[..., Process], empty_bank: Settings, promote_in: Callable[[Settings, str, int], str], use_case: str
) -> None:
    service, method, path, body, status = SERVICES[use_case]
    process = start(service, empty_bank.var)
    process.wait("/livez", 200)
    assert process.get("/readyz") == 503
    assert httpx.get(process.url).json() == {"status": "ok"}
    without = httpx.request(method, process.url + path, json=body)
    assert without.status_code == 503
    assert "Retry-After" in without.headers

    promote_in(empty_bank, use_case, 1)
    process.wait("/readyz", 200)
    answer = httpx.request(method, process.url + path, json=body)
    assert answer.status_code == status, process.log()
    assert path.rsplit("/", 1)[0] in httpx.get(process.url + "/openapi.json").text
    assert httpx.get(process.url + "/nowhere").json()["error"]["code"] == "not_found"
    metrics = httpx.get(process.url + "/metrics").text
    assert "opora_requests_total" in metrics
    assert "nobody" not in metrics + process.log()


def test_a_score_that_was_answered_survives_kill_9(
    start: Callable[..., Process], bank: Settings, promote: Callable[[str, int], str]
) -> None:
    promote("fraud", 1)
    process = start("bentos.fraud:FraudService", bank.var)
    process.wait("/readyz", 200)
    answers = [httpx.post(process.url + "/api/v1/score_transaction", json={"amount": amount}).json() for amount in range(20)]
    process.kill()
    with Journal(open_database(bank.database("journal"))) as journal:
        kept = journal.window("fraud", now() - timedelta(minutes=5), now() + timedelta(minutes=5))
    assert {answer["score_id"] for answer in answers} <= set(kept.score_id)


def test_beyond_loopback_without_keys_the_process_ends_and_says_what_to_set(
    start: Callable[..., Process], tmp_path: Path
) -> None:
    process = start("bentos.fraud:FraudService", tmp_path, OPORA_HOST="0.0.0.0")
    assert process.exit_status(60) != 0
    assert "OPORA_API_KEYS" in process.log()


def test_bodies_above_the_limit_are_refused_by_the_process(start: Callable[..., Process], tmp_path: Path) -> None:
    process = start("bentos.fraud:FraudService", tmp_path, OPORA_BODY_LIMIT="1000")
    process.wait("/livez", 200)
    path = process.url + "/api/v1/score_transaction"
    assert httpx.post(path, content=b" " * 5_000_000).status_code == 413
    assert httpx.post(path, content=(b" " * 500 for _ in range(10))).status_code == 413
    assert process.get("/") == 200


def test_a_service_whose_supervisor_was_killed_can_be_started_again_on_its_port(
    start: Callable[..., Process], empty_bank: Settings
) -> None:
    first = start("bentos.fraud:FraudService", empty_bank.var)
    first.wait("/livez", 200)
    first.kill()
    start("bentos.fraud:FraudService", empty_bank.var, port=first.port).wait("/livez", 200)
