"""P29, P30 and P31 on real processes: two of them over one database, and callers who mean no good."""

import base64
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import psutil
import pytest

from clock import now
from consent_api.callers.credentials import Keyring
from consent_api.callers.issuers import DEVELOPMENT, OWN, development
from consent_api.store import open_store
from edge.pepper import pepper
from settings import PROJECT, Settings

pytestmark = pytest.mark.integration
JSON = {"Content-Type": "application/json"}


@dataclass
class Process:
    """A consent service of its own."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass
class Pair:
    """Two processes over one database, and the keyring of their operator."""

    config: Settings
    keyring: Keyring
    services: tuple[Process, Process]


def started(var: Path, **environment: str) -> Process:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if name != "OPORA_DATABASE_URL"}
    env |= {"OPORA_VAR": str(var), "PYTHONPATH": str(PROJECT), **environment}
    command = [sys.executable, "-m", "consent_api", "--port", str(port)]
    with (var / f"{port}.log").open("w") as log:
        return Process(port, subprocess.Popen(command, env=env, cwd=PROJECT, stdout=log, stderr=log))


def wait_until_ready(service: Process, var: Path) -> None:
    for _ in range(600):
        assert service.process.poll() is None, (var / f"{service.port}.log").read_text()
        try:
            if httpx.get(f"{service.url}/readyz").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    pytest.fail("the service did not get ready")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    var = tmp_path_factory.mktemp("var")
    config = Settings(var=var, database_url="")
    keyring = Keyring(open_store(config), pepper(config))
    limits = {"OPORA_BODY_GRACE_SECONDS": "0.5", "OPORA_RATE_LIMIT_PER_SECOND": "20", "OPORA_RATE_LIMIT_BURST": "20"}
    services = (started(var, **limits), started(var, **limits))
    try:
        for service in services:
            wait_until_ready(service, var)
        yield Pair(config, keyring, services)
    finally:
        for service in services:
            service.process.kill()  # asked to end, they would wait for the slow senders
            service.process.wait()


def test_p29_an_end_is_felt_by_every_process(pair: Pair) -> None:
    key = pair.keyring.issue("partner", "dala-market", now())
    token = development(pair.config).token("17", OWN, now(), timedelta(minutes=5))
    held = ({"X-API-Key": key}, {"Authorization": f"Bearer {token}"})

    def statuses() -> list[int]:
        return [httpx.get(f"{each.url}/companies", headers=headers).status_code for each in pair.services for headers in held]

    assert statuses() == [200] * 4
    jti = json.loads(base64_decoded(token.split(".")[1]))["jti"]
    for command in (["revoke", key.split("-")[1]], ["revoke-token", "--issuer", DEVELOPMENT, "--id", jti]):
        environment = {**os.environ, "OPORA_VAR": str(pair.config.var), "PYTHONPATH": str(PROJECT)}
        subprocess.run([sys.executable, "-m", "consent_api.auth", *command], env=environment, cwd=PROJECT, check=True)
    deadline = time.monotonic() + 60
    while statuses() != [401] * 4:
        assert time.monotonic() < deadline


def base64_decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
def test_p31_64_megabytes_are_refused_and_leave_the_memory_as_it_was(pair: Pair, chunked: bool) -> None:
    service, headers = pair.services[0], {"X-API-Key": pair.keyring.issue("client", "17", now()), **JSON}
    assert httpx.post(f"{service.url}/consent", json={}, headers=headers).status_code == 422
    memory, ended = psutil.Process(service.process.pid), threading.Event()
    before = most = memory.memory_info().rss

    def watch() -> None:
        nonlocal most
        while not ended.wait(0.005):
            most = max(most, memory.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    part = b" " * (64 << 10)
    for _ in range(4):
        content = (part for _ in range(1024)) if chunked else part * 1024
        answer = httpx.post(f"{service.url}/consent", content=content, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
    ended.set()
    watcher.join()
    assert most - before < 32 << 20


@pytest.mark.parametrize("deep", [b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b"[" * 10_000])
def test_p31_json_ten_thousand_deep_is_refused(pair: Pair, deep: bytes) -> None:
    service, headers = pair.services[0], {"X-API-Key": pair.keyring.issue("client", "17", now()), **JSON}
    answer = httpx.post(f"{service.url}/consent", content=deep, headers=headers)
    assert 400 <= answer.status_code < 500
    assert set(answer.json()) == {"error"}
    assert httpx.get(f"{service.url}/readyz").status_code == 200


def test_p31_a_body_that_comes_drop_by_drop_is_not_waited_for(pair: Pair) -> None:
    service, key = pair.services[0], pair.keyring.issue("client", "17", now())
    names = {"Host": "127.0.0.1", "X-API-Key": key, **JSON, "Content-Length": "99"}
    head = "".join(["POST /consent HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in names.items()), "\r\n"])
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(head.encode() + b"{")
        said = b""
        while part := connection.recv(65536):  # until it hangs up
            said += part
    assert said.startswith(b"HTTP/1.1 408")
    assert b"body_too_slow" in said


def test_p31_one_partners_429_leaves_another_partner_unharmed(pair: Pair) -> None:
    service, refused, ended = pair.services[1], [], threading.Event()
    loud = [
        {"X-API-Key": pair.keyring.issue("partner", "jolda-travel", now())} for _ in range(6)
    ]  # keys do not multiply its rate
    quiet = {"X-API-Key": pair.keyring.issue("partner", "dala-market", now())}

    def shout(headers: dict[str, str]) -> None:
        with httpx.Client(base_url=service.url, headers=headers) as client:
            while not ended.wait(0.005):
                answer = client.get("/companies")
                refused.append(answer.status_code)
                assert answer.status_code == 200 or int(answer.headers["Retry-After"]) >= 1

    shouting = [threading.Thread(target=shout, args=(headers,)) for headers in loud]
    for thread in shouting:
        thread.start()
    with httpx.Client(base_url=service.url, headers=quiet) as client:
        for _ in range(30):
            time.sleep(0.06)
            assert client.get("/companies").status_code == 200
    ended.set()
    for thread in shouting:
        thread.join()
    assert refused.count(429) > 0.5 * len(refused)


def test_p30_beyond_loopback_the_service_does_not_start_with_the_development_issuer(tmp_path: Path) -> None:
    environment = {**os.environ, "OPORA_VAR": str(tmp_path), "PYTHONPATH": str(PROJECT), "OPORA_HOST": "0.0.0.0"}
    for command in (["consent_api", "--port", "0"], ["consent_api.issuer", "token", "--client", "17"]):
        ended = subprocess.run(
            [sys.executable, "-m", *command],
            env=environment,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 1
        assert "OPORA_TOKEN_ISSUER" in ended.stderr
        assert "Traceback" not in ended.stderr
    assert not (tmp_path / "secrets" / "development_token_key").exists()


def test_p30_the_development_command_prints_a_token_that_works(pair: Pair) -> None:
    environment = {**os.environ, "OPORA_VAR": str(pair.config.var), "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "consent_api.issuer", "token", "--client", "18"]
    token = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.strip()
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{pair.services[0].url}/companies", headers=headers).status_code == 200
    assert httpx.get(f"{pair.services[1].url}/client/17/consents", headers=headers).status_code == 403
