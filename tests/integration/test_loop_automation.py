"""From an event to a run of `respond`, through a real Prefect server, its automation and a real runner."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from clock import now
from monitoring.loop_tables import STEPS, open_loop, reading
from settings import Settings

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]


def until(true: Callable[[], Any], seconds: float) -> Any:
    """What `true` gives as soon as it is truthy."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.3)
    return found


@pytest.fixture
def prefect(tmp_path: Path, prefect_database: Path) -> Iterator[httpx.Client]:
    """A client of a Prefect server with a runner, both with a `var` and a home of their own."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    url, home = f"http://127.0.0.1:{port}/api", tmp_path / "prefect"
    home.mkdir()
    shutil.copy(prefect_database, home)
    environment = {**os.environ, "PREFECT_HOME": str(home), "PREFECT_API_URL": url, "OPORA_VAR": str(tmp_path)}
    environment |= {"PYTHONPATH": str(ROOT), "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    server = [str(Path(sys.executable).with_name("prefect")), "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    commands = [server, [sys.executable, "-m", "flows.runner"]]
    with (tmp_path / "log").open("wb") as log, httpx.Client(base_url=url, timeout=20) as client:
        started = {"cwd": ROOT, "env": environment, "stdout": log, "stderr": log, "start_new_session": True}
        processes = [subprocess.Popen(command, **started) for command in commands]
        try:
            until(lambda: _answers(client), 120)
            yield client
        finally:
            for process in reversed(processes):
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(60)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health").is_success
    except httpx.HTTPError:
        return False


def _automations(client: httpx.Client) -> list[dict[str, Any]]:
    return [one for one in client.post("/automations/filter", json={}).json() if one["name"].startswith("respond to")]


def _runs(client: httpx.Client) -> list[dict[str, Any]]:
    found = client.post("/flow_runs/filter", json={"flows": {"name": {"any_": ["respond"]}}}).json()
    return found if all(run["state_type"] in ("COMPLETED", "FAILED", "CRASHED") for run in found) else []


def test_an_event_of_drift_starts_respond_with_what_it_says_and_each_event_is_answered_once(
    prefect: httpx.Client, tmp_path: Path
) -> None:
    until(lambda: len(_automations(prefect)) == 2, 120)
    time.sleep(2)  # the server's triggers read new automations in the background
    event = {
        "id": str(uuid4()),
        "occurred": now().isoformat(),
        "event": "opora.drift.fraud",
        "resource": {"prefect.resource.id": "opora.model.fraud", "opora.version": "3"},
        "payload": {
            "use_case": "fraud",
            "version": "3",
            "share": 0.4,
            "broken": ["amount", 'c"ity'],
            "detail": "40% of the features drifted",
            "report": "http://127.0.0.1:8010/x",
        },
    }
    unlike = {**event, "id": str(uuid4()), "event": "opora.other.fraud"}
    assert prefect.post("/events", json=[unlike, event]).is_success
    (run,) = until(lambda: _runs(prefect), 120)
    assert run["parameters"]["request"] == {
        "use_case": "fraud",
        "kind": "drift",
        "event_id": event["id"],
        "version": "3",
        "broken": ["amount", 'c"ity'],
        "detail": "40% of the features drifted",
        "report": "http://127.0.0.1:8010/x",
    }
    assert run["state_type"] == "COMPLETED"
    with reading(open_loop(Settings(var=tmp_path))) as connection:
        (step,) = connection.execute(select(STEPS)).all()
    assert (step.event_id, step.decision, step.holder) == (event["id"], "mend", run["id"])
    artifacts = prefect.post("/artifacts/filter", json={"artifacts": {"key": {"any_": ["response-fraud"]}}}).json()
    assert [one["flow_run_id"] for one in artifacts] == [run["id"]]
    schedules = prefect.get("/deployments/name/drift/drift").json()["schedules"]
    assert sorted(one["parameters"]["request"]["use_case"] for one in schedules) == [
        "fraud",
        "income",
        "prescoring",
        "recommendation",
    ]
