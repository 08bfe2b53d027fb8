"""Runs whose process is gone do not stay under way in the records, nor in the way of the next; those that live are left alone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from prefect import flow, get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.events import emit_event
from prefect.events.filters import EventFilter, EventOccurredFilter, EventResourceFilter
from prefect.states import Pending, Running

from clock import now
from flows.silent import SILENCE, end_silent

pytestmark = pytest.mark.integration
LATER = SILENCE + timedelta(minutes=1)
RUN = """
import time
from prefect import flow

@flow(name="long")
def long():
    inner()

@flow(name="inner")
def inner():
    print("begun", flush=True)
    time.sleep(600)

long()
"""


@flow(name="alone")
def alone() -> None:
    """Would be run by a runner."""


@pytest.fixture(scope="module")
def client(prefect_server: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


def states(client: SyncPrefectClient) -> dict[str, str | None]:
    return {run.name: run.state_name for run in client.read_flow_runs()}


def test_runs_of_a_killed_process_are_marked_as_crashed_with_the_reason_once_they_have_been_silent(
    client: SyncPrefectClient, prefect_server: str
) -> None:
    environment = {**os.environ, "PREFECT_API_URL": prefect_server, "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
    process = subprocess.Popen([sys.executable, "-c", RUN], env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert end_silent(now()) == []
    ended = end_silent(now() + LATER)
    assert len(ended) == 2
    assert {run.id: run.state_name for run in client.read_flow_runs()} == {run.id: "Crashed" for run in ended}
    assert {run.state.message for run in client.read_flow_runs() if run.state} == {
        "Its process is gone: no sign of life for 300 seconds."
    }
    assert end_silent(now() + LATER) == []


def test_a_run_that_gives_signs_of_life_is_left_alone(client: SyncPrefectClient) -> None:
    run = client.create_flow_run(alone, state=Running())
    emit_event("prefect.flow-run.heartbeat", {"prefect.resource.id": f"prefect.flow-run.{run.id}"}, occurred=now() + LATER)
    deadline = time.monotonic() + 60
    while not heartbeats(client, run.id) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert end_silent(now() + LATER) == []
    assert [found.id for found in end_silent(now() + 3 * LATER)] == [run.id]


def test_a_place_that_a_dead_run_held_is_free_again(client: SyncPrefectClient) -> None:
    deployed = alone.to_deployment(name="alone", concurrency_limit=ConcurrencyLimitConfig(limit=1)).apply()
    dead, next_one = (client.create_flow_run_from_deployment(deployed) for _ in range(2))
    for state in (Pending(), Running()):
        client.set_flow_run_state(dead.id, state)
    client.set_flow_run_state(next_one.id, Pending())
    assert client.read_flow_run(next_one.id).state_name == "AwaitingConcurrencySlot"
    assert [run.id for run in end_silent(now() + LATER)] == [dead.id]
    client.set_flow_run_state(next_one.id, Pending())
    assert client.read_flow_run(next_one.id).state_name == "Pending"


def heartbeats(client: SyncPrefectClient, run_id: UUID) -> int:
    resource = EventResourceFilter(id=[f"prefect.flow-run.{run_id}"])
    found = client.read_events(EventFilter(resource=resource, occurred=EventOccurredFilter(until=now() + 2 * LATER)), limit=50)
    return len([one for one in found.events if one.event == "prefect.flow-run.heartbeat"])
