"""What the runner puts in place: schedules that the server plans, automations that stay single, missed nights seen once."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import PREFECT_API_URL, PREFECT_HOME
from prefect.states import Pending, Scheduled

from clock import now
from flows import addresses
from flows.deployments import deployments
from flows.missed import forget_missed

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def client(prefect_server: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


def test_of_a_weeks_missed_nights_the_newest_of_each_use_case_is_left(client: SyncPrefectClient) -> None:
    (drift,) = [one for one in deployments() if one.name == "drift"]
    deployment_id = drift.apply()
    week = {"start_time": (now() - timedelta(days=7)).isoformat(), "end_time": now().isoformat(), "min_runs": 7, "max_runs": 100}
    assert client._client.post(f"/deployments/{deployment_id}/schedule", json=week).is_success
    yesterday = now() - timedelta(days=1)
    parameters = {"request": {"use_case": "fraud"}}
    by_hand = client.create_flow_run_from_deployment(
        deployment_id, parameters=parameters, state=Scheduled(scheduled_time=yesterday)
    )
    before = [run for run in client.read_flow_runs() if run.expected_start_time < now()]
    assert len(before) >= 4 * 6 + 1
    assert forget_missed(now()) == len(before) - 5
    left = [run for run in client.read_flow_runs() if run.expected_start_time < now()]
    assert sorted(run.parameters["request"]["use_case"] for run in left if run.id != by_hand.id) == [
        "fraud",
        "income",
        "prescoring",
        "recommendation",
    ]
    assert by_hand.id in {run.id for run in left}
    assert all(now() - run.expected_start_time < timedelta(days=1) for run in left if run.id != by_hand.id)
    assert forget_missed(now()) == 0


def test_deploying_again_leaves_one_automation_for_each_kind_of_event(client: SyncPrefectClient) -> None:
    (respond,) = [one for one in deployments() if one.name == "respond"]
    for _ in range(2):
        respond.apply()
    found = client._client.post("/automations/filter", json={}).json()
    assert sorted(one["name"] for one in found) == ["respond to drift", "respond to quality"]


WAITING = {
    "train": {"use_case": "fraud"},
    "train-table": {"name": "churn", "table": "clients.csv", "target": "left", "kind": "binary"},
    "push": {},
    "respond": {"use_case": "fraud", "kind": "drift", "event_id": "1", "version": "1"},
    "pipeline": {},
}


@pytest.mark.parametrize("name", WAITING)
def test_of_two_runs_that_train_or_write_the_same_the_second_waits(client: SyncPrefectClient, name: str) -> None:
    (deployed,) = [one.apply() for one in deployments() if one.name == name]
    asked = {"request": WAITING[name]}
    first, second = (client.create_flow_run_from_deployment(deployed, parameters=asked) for _ in range(2))
    for run in (first, second):
        client.set_flow_run_state(run.id, Pending())
    assert [client.read_flow_run(run.id).state_name for run in (first, second)] == ["Pending", "AwaitingConcurrencySlot"]


def test_a_server_tells_whose_it_is(client: SyncPrefectClient) -> None:
    assert addresses._home(str(PREFECT_API_URL.value())) == PREFECT_HOME.value()
