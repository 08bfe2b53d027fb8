"""Scheduled runs that were missed while nothing ran: the newest of each schedule is caught up on, the others would repeat it."""

import json
from datetime import datetime

from prefect import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort

_PAGE = 200  # the most that the server gives at once


def forget_missed(at: datetime) -> int:
    """Delete the runs that schedules had planned before `at` and nobody ran, but the newest of each; returns how many.

    Drift, quality and retention look at the present: three missed nights are one look. Runs that a person planned are left alone.
    """
    missed = [run for run in _planned(at) if run.auto_scheduled]
    newest = {(run.deployment_id, json.dumps(run.parameters, sort_keys=True)): run.id for run in missed}
    forgotten = [run.id for run in missed if run.id not in newest.values()]
    with get_client(sync_client=True) as client:
        for run_id in forgotten:
            client.delete_flow_run(run_id)
    return len(forgotten)


def _planned(at: datetime) -> list[FlowRun]:
    """Runs that were to begin before `at` and have not, oldest first."""
    wanted = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=at),
    )
    found: list[FlowRun] = []
    with get_client(sync_client=True) as client:
        while len(found) % _PAGE == 0:
            page = client.read_flow_runs(
                flow_run_filter=wanted, sort=FlowRunSort.EXPECTED_START_TIME_ASC, limit=_PAGE, offset=len(found)
            )
            found += page
            if not page:
                break
    return found
