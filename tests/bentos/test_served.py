"""The services as processes, under BentoML."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest

from clock import now
from database import open_database
from monitoring.journal import Journal
from registry import models
from settings import PROJECT, Settings
from tests.bentos.connections import HTTP

pytestmark = pytest.mark.integration

SERVICES = {
    "fraud": ("bentos.fraud.service:FraudService", "POST", "/api/v1/score_transaction", {"amount": 31000}, 200),
    "income": ("bentos.income.service:IncomeService", "POST", "/api/predictions", {"client_id": "nobody"}, 404),
    "prescoring": ("bentos.prescoring.service:PrescoringService", "POST", "/prescore", {"monthprofit": 1000}, 200),
    "recommendation": ("bentos.recommendation.service:RecommendationService", "GET", "/recommendations/nobody", None, 404),
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
            return HTTP.get(self.url + path, timeout=5).status_code
        except httpx.HTTPError:
            return 0

    def wait(self, path: str, status: int, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while self.get(path) != status:
            if time.monotonic() > deadline or self._process.poll() is not None:
                pytest.fail(f"{path} never answered {status}:\n{self.log()}")
            time.sleep(0.2)

    def log(self) -> str:
        return self._log.read_text()

    def pids(self) -> list[int]:
        """The supervisor, then its workers."""
        found, waiting = [], [self._process.pid]
        while waiting:
            found.append(waiting.pop(0))
            tasks = Path(f"/proc/{found[-1]}/task").iterdir()
            waiting += [int(child) for task in tasks for child in (task / "children").read_text().split()]
        return found

    def memory(self) -> list[float]:
        """Resident memory of each process in MiB."""
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids()]
        return [count * os.sysconf("SC_PAGE_SIZE") / 2**20 for count in pages]

    def computed(self) -> float:
        """Seconds of processor time that all processes have taken."""
        ticks = [Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[11:13] for pid in self.pids()]
        return sum(int(tick) for pair in ticks for tick in pair) / os.sysconf("SC_CLK_TCK")

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
    assert process.get("/") in (200, 307)
    without = HTTP.request(method, process.url + path, json=body)
    assert without.status_code == 503
    assert "Retry-After" in without.headers

    promote_in(empty_bank, use_case, 1)
    process.wait("/readyz", 200)
    answer = HTTP.request(method, process.url + path, json=body)
    assert answer.status_code == status, process.log()
    assert path.rsplit("/", 1)[0] in HTTP.get(process.url + "/openapi.json").text
    assert HTTP.get(process.url + "/nowhere").json()["error"]["code"] == "not_found"
    metrics = HTTP.get(process.url + "/metrics").text
    assert "opora_requests_total" in metrics
    assert "nobody" not in metrics + process.log()


def test_beyond_loopback_without_keys_the_process_ends_and_says_what_to_set(
    start: Callable[..., Process], tmp_path: Path
) -> None:
    process = start("bentos.fraud.service:FraudService", tmp_path, OPORA_HOST="0.0.0.0")
    assert process.exit_status(60) != 0
    assert "OPORA_API_KEYS" in process.log()


def test_bodies_above_the_limit_are_refused_by_the_process(start: Callable[..., Process], tmp_path: Path) -> None:
    process = start("bentos.fraud.service:FraudService", tmp_path, OPORA_BODY_LIMIT="1000")
    process.wait("/livez", 200)
    path = process.url + "/api/v1/score_transaction"
    json = {"Content-Type": "application/json"}
    assert HTTP.post(path, content=b" " * 5_000_000, headers=json).status_code == 413
    assert HTTP.post(path, content=(b" " * 500 for _ in range(10)), headers=json).status_code == 413
    assert process.get("/") == 200


def test_a_service_whose_supervisor_was_killed_can_be_started_again_on_its_port(
    start: Callable[..., Process], empty_bank: Settings
) -> None:
    first = start("bentos.fraud.service:FraudService", empty_bank.var)
    first.wait("/livez", 200)
    first.kill()
    start("bentos.fraud.service:FraudService", empty_bank.var, port=first.port).wait("/livez", 200)


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """An MLflow server that hands out artifacts: its address, and what kills it."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{tmp_path}/server.db"]
    command += ["--artifacts-destination", str(tmp_path / "server"), "--port", str(port), "--workers", "1"]
    command += ["--allowed-hosts", f"127.0.0.1:{port}"]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def kill() -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    deadline = time.monotonic() + 90
    while True:
        try:
            HTTP.get(f"http://127.0.0.1:{port}/health", timeout=2)
            break
        except httpx.HTTPError:
            if time.monotonic() > deadline or process.poll() is not None:
                pytest.fail((tmp_path / "server.log").read_text())
            time.sleep(0.1)
    yield f"http://127.0.0.1:{port}", kill
    kill()


def test_p14_scores_go_on_with_mlflow_killed_and_the_service_restarted(
    start: Callable[..., Process],
    tmp_path: Path,
    promote_in: Callable[[Settings, str, int], str],
    mlflow_server: tuple[str, Callable[[], None]],
) -> None:
    address, kill_mlflow = mlflow_server
    config = Settings(var=tmp_path / "var", mlflow_tracking_uri=address)
    config.var.mkdir()
    version = promote_in(config, "fraud", 1)
    first = start("bentos.fraud.service:FraudService", config.var, OPORA_MLFLOW_TRACKING_URI=address)
    first.wait("/readyz", 200)
    path = "/api/v1/score_transaction"
    before = HTTP.post(first.url + path, json={"amount": 31_000}).json()
    card = HTTP.get(first.url + "/model").json()
    assert card["source"] == f"models:/fraud/{version}"
    assert card["stale_seconds"] < 10

    kill_mlflow()
    assert HTTP.post(first.url + path, json={"amount": 31_000}).json()["model_version"] == version
    time.sleep(3)
    assert HTTP.get(first.url + "/model").json()["stale_seconds"] > 2
    first.kill()

    second = start("bentos.fraud.service:FraudService", config.var, OPORA_MLFLOW_TRACKING_URI=address)
    second.wait("/readyz", 200)
    with httpx.Client(base_url=second.url) as client:
        answers = [client.post(path, json={"amount": 31_000}) for _ in range(1000)]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["fraud_probability"] for answer in answers} == {before["fraud_probability"]}
    card = HTTP.get(second.url + "/model").json()
    assert (card["version"], card["source"], card["registry_seen_at"], card["stale_seconds"]) == (version, "cache", None, None)
    assert "keeps serving" in second.log()


def test_twenty_swaps_under_load_fail_no_request_and_every_answer_is_that_of_its_version(
    start: Callable[..., Process], tmp_path: Path, promote_in: Callable[[Settings, str, int], str]
) -> None:
    config = Settings(var=tmp_path)
    versions = [promote_in(config, "fraud", seed) for seed in (1, 2, 3)]
    process = start("bentos.fraud.service:FraudService", tmp_path, OPORA_CHAMPION_POLL_SECONDS="0.05")
    process.wait("/readyz", 200)
    answers: list[httpx.Response] = []
    done = threading.Event()

    def ask(caller: int) -> None:
        with httpx.Client(base_url=process.url) as client:
            for amount in itertools.count(caller, 4):
                if done.is_set():
                    return
                answers.append(client.post("/api/v1/score_transaction", json={"amount": amount}))

    callers = [threading.Thread(target=ask, args=(caller,)) for caller in range(4)]
    for caller in callers:
        caller.start()
    for swap in range(20):
        version = versions[swap % 3]
        models.client(config).set_registered_model_alias("fraud", models.CHAMPION, version)
        deadline = time.monotonic() + 20
        while HTTP.get(process.url + "/model").json()["version"] != version:
            assert time.monotonic() < deadline, process.log()
            time.sleep(0.02)
    done.set()
    for caller in callers:
        caller.join()
    assert {answer.status_code for answer in answers} == {200}
    assert "opora_model_swaps_total" in HTTP.get(process.url + "/metrics").text
    process.kill()
    given = pd.DataFrame([answer.json() for answer in answers]).set_index("score_id")
    assert set(given.model_version) == set(versions)
    with Journal(open_database(config.database("journal"))) as journal:
        kept = journal.window("fraud", now() - timedelta(minutes=5), now() + timedelta(minutes=5)).set_index("score_id")
    kept.columns = kept.columns.str.removeprefix("feature_")
    for version, some in given.groupby("model_version"):
        offline = models.load_version("fraud", version, config).scorer.predict(kept.loc[some.index])["fraud"]
        np.testing.assert_allclose(some.fraud_probability, offline, rtol=1e-6)


def imports() -> float:
    """Seconds of processor time that importing what any such service needs takes here and now."""
    before = os.times()
    subprocess.run([sys.executable, "-c", "import bentoml, fastapi, lightgbm"], check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def test_a_start_computes_little_more_than_its_imports_and_a_worker_stays_below_350_mib(
    start: Callable[..., Process], bank: Settings, promote: Callable[[str, int], str]
) -> None:
    promote("fraud", 1)
    process = start("bentos.fraud.service:FraudService", bank.var)
    process.wait("/readyz", 200)
    computed = process.computed()
    HTTP.post(process.url + "/api/v1/score_transaction", json={"amount": 1})
    memory = process.memory()
    assert len(memory) == 2, "a supervisor and a worker"
    assert max(memory) < 350
    assert computed < 5 * imports()  # of a supervisor and a worker; seconds would be those of the machine
