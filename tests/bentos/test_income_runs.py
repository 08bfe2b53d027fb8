"""Imports through a real Prefect server with a password and CSRF protection, and a real flow runner."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from starlette.testclient import TestClient

from bentos.income.service import income_app
from bentos.serving.application import guarded
from bentos.serving.backend import Backend
from database import open_database
from features.lake import open_lake
from monitoring.journal import Journal
from settings import Settings
from tests.bentos.connections import HTTP

ROOT = Path(__file__).parents[2]
PASSWORD = "opora:secret"
CSV = "client_code;month;income;w\n" + "".join(f"{number};2026-01-01;{350_000 + number},50;1\n" for number in range(99))

pytestmark = pytest.mark.integration


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    url = f"http://127.0.0.1:{free_port()}/api"
    return Settings(var=tmp_path_factory.mktemp("imports"), prefect_api_url=url, prefect_auth_string=PASSWORD)


@pytest.fixture(scope="module")
def environment(config: Settings) -> dict[str, str]:
    return {
        **os.environ,
        "OPORA_VAR": str(config.var),
        "PREFECT_HOME": str(config.var / "prefect"),
        "PREFECT_API_URL": config.prefect_api_url,
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "PREFECT_API_AUTH_STRING": PASSWORD,
        "PREFECT_SERVER_API_AUTH_STRING": PASSWORD,
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        "PYTHONPATH": str(ROOT),
    }


def running(command: list[str], environment: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("wb") as said:
        process = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


@pytest.fixture(scope="module")
def server(config: Settings, environment: dict[str, str], prefect_database: Path) -> Iterator[None]:
    (config.var / "prefect").mkdir(parents=True)
    shutil.copy(prefect_database, config.var / "prefect" / "prefect.db")
    port = config.prefect_api_url.split(":")[2].split("/")[0]
    command = [str(Path(sys.executable).with_name("prefect")), "server", "start", "--host", "127.0.0.1", "--port", port]
    for _ in running(command, environment, config.var / "server.log"):
        until(lambda: alive(config.prefect_api_url), 120)
        yield


@pytest.fixture(scope="module")
def runner(server: None, config: Settings, environment: dict[str, str]) -> Iterator[None]:
    yield from running([sys.executable, "-m", "flows.runner"], environment, config.var / "runner.log")


@pytest.fixture(scope="module")
def client(config: Settings, opened: Callable[[str], Backend]) -> TestClient:
    backend = Backend("income", config)
    backend.journal, backend.champion = Journal(open_database(config.database("journal"))), opened("income").champion
    return TestClient(guarded(income_app(backend), config), base_url="http://127.0.0.1", raise_server_exceptions=False)


def alive(url: str) -> bool:
    try:
        return HTTP.get(f"{url}/health", auth=("opora", "secret"), timeout=2).is_success
    except httpx.HTTPError:
        return False


def until(true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def upload(client: TestClient, content: str) -> httpx.Response:
    return client.post("/api/imports/income-csv", files={"file": ("../../etc/passwd", content.encode("cp1251"))})


def taken(client: TestClient, content: str) -> httpx.Response:
    """The answer of 202; a Prefect server that has only just come may answer too late for the first requests."""
    answers: list[httpx.Response] = []

    def is_taken() -> bool:
        answers.append(upload(client, content))
        return answers[-1].status_code == 202

    until(is_taken, 120)
    return answers[-1]


def finished(client: TestClient, run_id: str) -> dict:
    until(lambda: client.get(f"/api/imports/{run_id}").json()["status"] in ("completed", "failed"), 180)
    return client.get(f"/api/imports/{run_id}").json()


def test_while_no_flow_runner_has_come_an_upload_is_503_that_says_so(client: TestClient, server: None) -> None:
    answer = upload(client, CSV)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_deployment")
    assert client.get(f"/api/imports/{uuid4()}").status_code == 404


def test_an_upload_is_a_run_of_the_ingest_flow_and_its_rows_land_in_the_lake(
    client: TestClient, config: Settings, runner: None
) -> None:
    until(lambda: client.post("/api/admin/import/start", json={"table": "clients"}).status_code == 409, 60)
    begun = taken(client, CSV.replace(";1\n", ";2\n", 4).replace("350001,50", "-1", 1))
    assert begun.json()["status"] == "queued"
    done = finished(client, begun.json()["id"])
    assert {name: done[name] for name in ("status", "total_rows", "processed_rows", "quarantined_rows")} == {
        "status": "completed",
        "total_rows": 99,
        "processed_rows": 99,
        "quarantined_rows": 1,
    }
    assert client.get(f"/api/admin/import/{done['id']}").json() == done
    run = HTTP.get(f"{config.prefect_api_url}/flow_runs/{done['id']}", auth=("opora", "secret")).json()
    assert run["parameters"]["request"]["table"] == "verified_incomes"
    assert Path(run["parameters"]["request"]["path"]).parent == config.var / "uploads"
    assert open_lake(config).read("verified_incomes").count().execute() >= 98


def test_a_refused_file_is_a_failed_import_that_says_why_and_model_health_counts_it(client: TestClient, runner: None) -> None:
    before = client.get("/api/monitoring/model-health").json()["failed_imports"]
    done = finished(client, upload(client, "shoe_size;colour\n44;blue\n").json()["id"])
    assert done["status"] == "failed"
    assert "client_code" in done["message"]
    until(lambda: client.get("/api/monitoring/model-health").json()["failed_imports"] == before + 1, 30)


def test_a_demo_bank_is_a_run_of_the_main_job(client: TestClient, config: Settings, runner: None) -> None:
    answer = client.post("/api/admin/seed/start", json={"clients": 200, "trials": 1, "seconds": 1})
    assert answer.status_code == 202
    run_id = answer.json()["id"]
    assert client.get(f"/api/admin/import/{run_id}").json()["id"] == run_id
    parameters = HTTP.get(f"{config.prefect_api_url}/flow_runs/{run_id}", auth=("opora", "secret")).json()["parameters"]
    assert parameters["request"] == {"clients": 200, "trials": 1, "seconds": 1.0}
    assert client.post("/api/admin/seed/start", json={"clients": 1}).status_code == 422
