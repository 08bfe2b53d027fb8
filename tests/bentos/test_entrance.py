"""P6, P28, P29, P31, P37 of the services as processes: what a port answers, to whom, and at what cost to the others."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from clock import now
from edge.key_file import KeyFile, new_key
from edge.keys import keys_path
from edge.pepper import pepper
from edge.scopes import SCOPES
from settings import PROJECT, Settings
from tests.bentos.connections import HTTP

pytestmark = pytest.mark.integration

SERVICES = {
    "fraud": "bentos.fraud.service:FraudService",
    "income": "bentos.income.service:IncomeService",
    "prescoring": "bentos.prescoring.service:PrescoringService",
    "recommendation": "bentos.recommendation.service:RecommendationService",
}
SCORE = "/api/v1/score_transaction"
BENTO_PAGES = ("/docs.json", "/schema.json", "/static_content/swagger-ui.css", "/assets/index.js", "/is_ready", "/score/submit")
CANARY = "870512300123"
READERS = (SCORE, "/api/predictions", "/prescore", "/push-notifications", "/api/v1/score_batch")
"""Addresses of one service or the other that read a body."""
CONTENT_TYPES = (
    "application/vnd.bentoml+pickle",
    "application/x-pickle",
    "application/octet-stream",
    "application/json",
    "application/x-ndjson",
    "application/vnd.apache.arrow.stream",
    "multipart/form-data; boundary=x",
)


class Process:
    """A service as the Procfile starts it, all services of a bank with the same BENTOML_HOME."""

    def __init__(self, use_case: str, var: Path, **environment: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = var / f"{use_case}-{self.port}.log"
        env = os.environ | {"OPORA_VAR": str(var), "BENTOML_HOME": str(var / "bentoml"), "PYTHONPATH": str(PROJECT)} | environment
        command = [sys.executable, "-m", "bentoml", "serve", SERVICES[use_case], "--port", str(self.port)]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(command, env=env, cwd=PROJECT, stdout=log, stderr=log, start_new_session=True)

    def wait(self, path: str, seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while not self._answers(path):
            if time.monotonic() > deadline or self.process.poll() is not None:
                pytest.fail(f"{path} was never answered:\n{self.log()}")
            time.sleep(0.2)

    def _answers(self, path: str) -> bool:
        try:
            return HTTP.get(self.url + path, timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def memory(self) -> int:
        """Resident memory of the workers in bytes."""
        return sum(worker.memory_info().rss for worker in self.workers())

    def log(self) -> str:
        return self._log.read_text()

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def starter(use_case: str, var: Path, wait_for: str = "/livez", **environment: str) -> Process:
        started.append(Process(use_case, var, **environment))
        started[-1].wait(wait_for)
        return started[-1]

    yield starter
    for process in started:
        process.kill()


def issue(var: Path) -> tuple[str, str]:
    """A key to everything that is in force, and its id."""
    config = Settings(var=var)
    key, entry = new_key(pepper(config), SCOPES)
    KeyFile(keys_path(config)).add(entry, "test", now())
    return key, entry.key_id


@pytest.fixture(scope="module", params=list(SERVICES))
def keyed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, str]]:
    """A service without a champion that asks for a key, and the key."""
    var = tmp_path_factory.mktemp(request.param)
    key, _ = issue(var)
    process = Process(request.param, var)
    process.wait("/livez")
    yield process, key
    process.kill()


def test_p28_p37_every_address_of_the_port_is_ours_with_name_key_and_error_shape(keyed: tuple[Process, str]) -> None:
    process, key = keyed
    paths = ["/", "/livez", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/model", *BENTO_PAGES]
    for path in paths:
        foreign = HTTP.get(process.url + path, headers={"Host": "evil.example", "X-API-Key": key})
        assert (path, foreign.status_code) == (path, 400)
        stranger = HTTP.get(process.url + path, headers={"Origin": "https://evil.example"})
        assert not [name for name in stranger.headers if name.startswith("access-control")]
        assert re.fullmatch("[0-9a-f]{32}", stranger.headers["x-request-id"])
    for path in ("/metrics", "/model", *BENTO_PAGES):
        assert (path, HTTP.get(process.url + path).status_code) == (path, 401)
    for path in BENTO_PAGES:
        answer = HTTP.get(process.url + path, headers={"X-API-Key": key})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    ready = HTTP.get(process.url + "/readyz")
    assert (ready.status_code, ready.json()["error"]["code"]) == (503, "not_ready")
    assert "server" not in ready.headers


def listening(pid: int) -> set[tuple[socket.AddressFamily, object]]:
    """Every TCP address and Unix socket on which a process or a child of it takes connections."""
    found: set[tuple[socket.AddressFamily, object]] = set()
    process = psutil.Process(pid)
    for one in (process, *process.children(recursive=True)):
        taken = [each for each in one.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
        found |= {(each.family, tuple(each.laddr)) for each in taken}
        found |= {(each.family, each.laddr) for each in one.net_connections("unix") if each.laddr}
    return found


def send(family: socket.AddressFamily, address: object, content: bytes) -> None:
    """Say it and listen for a moment to what comes back, if anything does."""
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(1)
        try:
            connection.connect(address)  # type: ignore[arg-type]
            connection.sendall(content)
            connection.recv(65_536)
        except OSError:
            return


def test_p06_a_pickle_as_body_is_refused_on_every_port_and_socket_of_a_service(
    keyed: tuple[Process, str], canary: bytes, marker: Path
) -> None:
    process, key = keyed
    as_bentoml = {"Bentoml-Is-Batch-Request": "true", "Payload-Container": "PickleBytes", "X-API-Key": key}
    for content_type in CONTENT_TYPES:
        for target in (*READERS, "/", "/score", "/__submit"):
            answer = HTTP.post(process.url + target, content=canary, headers=as_bentoml | {"Content-Type": content_type})
            assert 400 <= answer.status_code < 500, (target, content_type, answer.text)
            assert answer.status_code not in (401, 403)
    head = ("POST / HTTP/1.1", "Host: 127.0.0.1", f"X-API-Key: {key}", "Content-Type: application/vnd.bentoml+pickle")
    request = "\r\n".join((*head, f"Content-Length: {len(canary)}", "\r\n")).encode() + canary
    places = listening(process.process.pid)
    assert (socket.AF_INET, ("127.0.0.1", process.port)) in places
    for family, address in places:
        for content in (canary, request):
            send(family, address, content)
    process.wait("/livez")
    assert not marker.exists()


def test_p23_a_worker_writes_json_lines_one_for_each_request_and_names_no_client(
    start: Callable[..., Process], bank: Settings, promote: Callable[[str, int], str]
) -> None:
    promote("fraud", 1)
    process = start("fraud", bank.var, "/readyz")
    for body in ({"amount": 1, "client_id": CANARY}, {"amount": -1, "client_id": CANARY}, {CANARY: 1}):
        HTTP.post(process.url + SCORE, json=body)
    HTTP.get(f"{process.url}/nowhere/{CANARY}?client={CANARY}")
    until = time.monotonic() + 10  # a line is written when the answer has left
    while '"other"' not in process.log() and time.monotonic() < until:
        time.sleep(0.05)
    lines = [json.loads(line) for line in process.log().splitlines() if line.startswith("{")]
    requests = [line for line in lines if line["event"] == "request" and line["route"] not in ("/livez", "/readyz")]
    assert [(line["route"], line["status"]) for line in requests] == [(SCORE, 200), (SCORE, 422), (SCORE, 422), ("other", 404)]
    assert {line["service"] for line in lines} == {"fraud"}
    assert len([line for line in process.log().splitlines() if not line.startswith("{")]) <= 1  # the supervisor's greeting
    metrics = HTTP.get(process.url + "/metrics").text
    assert CANARY not in process.log() + metrics


def count_of(text: str, endpoint: str) -> float:
    return sum(
        float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if f'opora_requests_total{{endpoint="{endpoint}"' in line
    )


def test_metrics_are_those_of_all_workers_of_this_service_and_of_no_other(start: Callable[..., Process], tmp_path: Path) -> None:
    fraud = start("fraud", tmp_path, OPORA_SERVING_WORKERS="2")
    before = count_of(HTTP.get(fraud.url + "/metrics").text, "/")
    for _ in range(30):
        assert HTTP.get(fraud.url).status_code == 200
    income = start("income", tmp_path)
    assert count_of(HTTP.get(income.url + "/metrics").text, "/") == 0
    for _ in range(10):
        text = HTTP.get(fraud.url + "/metrics").text
        assert count_of(text, "/") - before == 30
        assert text.count("# TYPE opora_requests_total counter") == 1


def test_p29_a_revoked_key_opens_no_worker_after_a_second(start: Callable[..., Process], tmp_path: Path) -> None:
    key, key_id = issue(tmp_path)
    process = start("fraud", tmp_path, OPORA_SERVING_WORKERS="2")
    deadline = time.monotonic() + 60
    while len([line for line in process.log().splitlines() if "Completed startup" in line]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    answers = [HTTP.get(process.url + "/model", headers={"X-API-Key": key}).status_code for _ in range(20)]
    assert set(answers) == {503}  # let in, and no champion yet
    KeyFile(keys_path(Settings(var=tmp_path))).remove(key_id)
    time.sleep(1)
    answers = [HTTP.get(process.url + "/model", headers={"X-API-Key": key}).status_code for _ in range(40)]
    assert set(answers) == {401}


@pytest.mark.parametrize("keyed", ["fraud"], indirect=True)
@pytest.mark.parametrize("chunked", [False, True])
def test_p31_64_mebibytes_are_refused_with_less_than_32_of_memory(keyed: tuple[Process, str], chunked: bool) -> None:
    process, key = keyed
    headers = {"Content-Type": "application/json", "X-API-Key": key}
    for path in (SCORE, "/api/v1/score_batch"):
        HTTP.post(process.url + path, content=b"{}", headers=headers)
    before, most, ended = process.memory(), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.is_set():
            most = max(most, process.memory())
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    part = b" " * (64 << 10)
    for _ in range(4):
        content = (part for _ in range(1024)) if chunked else part * 1024
        answer = HTTP.post(process.url + SCORE, content=content, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
    ended.set()
    watcher.join()
    assert most - before < 32 << 20


def test_p31_one_callers_429_leave_another_caller_alone(
    start: Callable[..., Process], bank: Settings, promote: Callable[[str, int], str]
) -> None:
    promote("fraud", 1)
    keys = {"OPORA_API_KEYS": json.dumps(["loud-key", "quiet-key"])}
    process = start("fraud", bank.var, "/readyz", OPORA_RATE_LIMIT_PER_SECOND="20", OPORA_RATE_LIMIT_BURST="20", **keys)
    refused, ended = [], threading.Event()

    def shout() -> None:
        with httpx.Client(base_url=process.url, headers={"X-API-Key": "loud-key"}) as client:
            while not ended.wait(0.005):
                refused.append(client.post(SCORE, json={"amount": 1}).status_code)

    shouting = [threading.Thread(target=shout) for _ in range(4)]
    for thread in shouting:
        thread.start()
    with httpx.Client(base_url=process.url, headers={"X-API-Key": "quiet-key"}) as client:
        for _ in range(60):
            time.sleep(0.06)
            assert client.post(SCORE, json={"amount": 1}).status_code == 200
    ended.set()
    for thread in shouting:
        thread.join()
    assert refused.count(429) > 0.5 * len(refused)
