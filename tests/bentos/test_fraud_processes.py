"""The fraud service as processes: what was answered survives their death, one or several of them."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import psutil
import pyarrow as pa
import pytest

from clock import now
from database import open_database
from monitoring.journal import Journal
from settings import PROJECT, Settings
from tests.bentos.connections import HTTP

pytestmark = pytest.mark.integration

ARROW = "application/vnd.apache.arrow.stream"


class Service:
    """The fraud service under BentoML in a process group of its own."""

    def __init__(self, var: Path, workers: int) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.log = var / f"fraud-{port}.log"
        settings = {"OPORA_VAR": str(var), "OPORA_SERVING_WORKERS": str(workers), "BENTOML_HOME": str(var / "bentoml")}
        command = [sys.executable, "-m", "bentoml", "serve", "bentos.fraud.service:FraudService", "--port", str(port)]
        with self.log.open("w") as log:
            env = os.environ | settings | {"PYTHONPATH": str(PROJECT)}
            self._process = subprocess.Popen(command, env=env, cwd=PROJECT, stdout=log, stderr=log, start_new_session=True)

    def wait(self) -> None:
        deadline = time.monotonic() + 90
        while not self._ready():
            if time.monotonic() > deadline or self._process.poll() is not None:
                pytest.fail(f"never ready:\n{self.log.read_text()}")
            time.sleep(0.2)

    def _ready(self) -> bool:
        try:
            return HTTP.get(self.url + "/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def wait_for_workers(self, count: int) -> None:
        """Return when each of so many workers has taken the champion over for itself."""
        deadline = time.monotonic() + 60
        while self._taken_over() < count:
            assert time.monotonic() < deadline, "a worker found no champion"
            time.sleep(0.1)
        assert self._taken_over() == len(self.workers()) == count

    def _taken_over(self) -> int:
        return self.log.read_text().count("serves now")

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self._process.pid).children(recursive=True)

    def kill(self) -> None:
        """SIGKILL to the workers, each of which leads a process group of its own, and to their supervisor."""
        if self._process.poll() is None:
            supervisor = psutil.Process(self._process.pid)
            for process in (*self.workers(), supervisor):
                process.kill()
            self._process.wait()

    def terminate(self, seconds: float) -> int:
        """The exit status after SIGTERM, which has to come within these seconds."""
        self._process.terminate()
        return self._process.wait(seconds)


@pytest.fixture
def serve(bank: Settings, promote: Callable[[str, int], str]) -> Iterator[Callable[[int], Service]]:
    promote("fraud", 1)
    started: list[Service] = []

    def service(workers: int) -> Service:
        started.append(Service(bank.var, workers))
        started[-1].wait()
        return started[-1]

    yield service
    for one in started:
        one.kill()


def single(client: httpx.Client) -> list[str]:
    answer = client.post("/api/v1/score_transaction", json={"amount": 5})
    return [answer.json()["score_id"]] if answer.status_code == 200 else []


def batch(client: httpx.Client) -> list[str]:
    answer = client.post("/api/v1/score_batch", json={"items": [{"amount": index} for index in range(50)]})
    return [result["score_id"] for result in answer.json()["results"]] if answer.status_code == 200 else []


def lines(client: httpx.Client) -> list[str]:
    body = "\n".join(json.dumps({"amount": index}) for index in range(50))
    answer = client.post("/api/v1/score_batch", content=body, headers={"Content-Type": "application/x-ndjson"})
    return [json.loads(line)["score_id"] for line in answer.text.splitlines()] if answer.status_code == 200 else []


def arrow(client: httpx.Client) -> list[str]:
    sink, table = pa.BufferOutputStream(), pa.table({"amount": [float(index) for index in range(50)]})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    answer = client.post("/api/v1/score_batch", content=bytes(sink.getvalue()), headers={"Content-Type": ARROW})
    return pa.ipc.open_stream(answer.content).read_all()["score_id"].to_pylist() if answer.status_code == 200 else []


class Load:
    """Callers that ask on connections kept alive, one request after the other, until nobody answers any more."""

    def __init__(self, service: Service) -> None:
        self._url = service.url
        self._answered: list[str] = []
        ways = single, single, single, batch, lines, arrow
        self._callers = [threading.Thread(target=self._ask, args=(way,)) for way in ways]
        for caller in self._callers:
            caller.start()
        time.sleep(1.5)

    def _ask(self, way: Callable[[httpx.Client], list[str]]) -> None:
        try:
            with httpx.Client(base_url=self._url, timeout=30) as client:
                while True:
                    self._answered.extend(way(client))
        except (httpx.HTTPError, ValueError, pa.ArrowException):
            return

    def answered(self) -> list[str]:
        """The scores that were answered, once no caller is answered any more."""
        for caller in self._callers:
            caller.join()
        return self._answered


def kept(bank: Settings) -> set[str]:
    with Journal(open_database(bank.database("journal"))) as journal:
        return set(journal.window("fraud", now() - timedelta(minutes=5), now() + timedelta(minutes=1)).score_id)


@pytest.mark.parametrize("workers", [1, 2])
def test_p10_every_score_answered_under_load_by_as_many_workers_as_are_asked_for_is_in_the_journal_after_kill_9(
    bank: Settings, serve: Callable[[int], Service], workers: int
) -> None:
    service = serve(workers)
    service.wait_for_workers(workers)
    load = Load(service)
    service.kill()
    answered = load.answered()
    assert len(answered) > 200
    assert len(set(answered)) == len(answered)
    assert set(answered) <= kept(bank)


@pytest.mark.parametrize("workers", [1, 2])
def test_callers_who_never_stop_do_not_keep_a_service_that_is_told_to_end(
    bank: Settings, serve: Callable[[int], Service], workers: int
) -> None:
    service = serve(workers)
    load = Load(service)
    assert service.terminate(10) == 0
    answered = load.answered()
    assert len(answered) > 200
    assert set(answered) <= kept(bank)


def test_a_body_that_trickles_in_does_not_keep_a_service_that_is_told_to_end(serve: Callable[[int], Service]) -> None:
    service, ended = serve(1), threading.Event()

    def drops() -> Iterator[bytes]:
        while not ended.wait(0.5):
            yield b" " * (16 << 10)  # twice as fast as has to be

    def trickle() -> None:
        with contextlib.suppress(httpx.HTTPError):
            HTTP.post(service.url + "/api/v1/score_batch", content=drops(), headers={"Content-Type": "application/json"})

    caller = threading.Thread(target=trickle)
    caller.start()
    time.sleep(2)
    try:
        assert service.terminate(30) == 0
    finally:
        ended.set()
        caller.join()
