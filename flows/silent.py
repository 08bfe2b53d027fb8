"""Runs whose process is gone: killed, or stopped with the server that it reported to, they would be shown as running for ever."""

import logging
import time
from datetime import datetime, timedelta

import httpx
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventResourceFilter
from prefect.exceptions import PrefectHTTPStatusError
from prefect.states import Crashed

from clock import now

SILENCE = timedelta(minutes=5)
"""A run in a process that lives gives a sign of life every 30 seconds (PREFECT_FLOWS_HEARTBEAT_FREQUENCY)."""
_EVERY_SECONDS = 60.0
_UNDER_WAY = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]


def watch_silent() -> None:
    """Call `end_silent` every minute; a server that is away is asked again."""
    while True:
        try:
            end_silent(now())
        except (httpx.HTTPError, PrefectHTTPStatusError) as error:
            logging.getLogger("opora.flows").warning("runs that died could not be looked for: %s", error)
        time.sleep(_EVERY_SECONDS)


def end_silent(at: datetime) -> list[FlowRun]:
    """Mark as crashed the runs that have given no sign of life for `SILENCE` before `at`; returns them.

    Their place among the runs of a deployment is free again. One that lives after all ends as it does.
    """
    wanted = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNDER_WAY)))
    with get_client(sync_client=True) as client:
        silent = [run for run in client.read_flow_runs(flow_run_filter=wanted) if _is_silent(run, at, client)]
        for run in silent:
            message = f"Its process is gone: no sign of life for {SILENCE.total_seconds():.0f} seconds."
            client.set_flow_run_state(run.id, Crashed(message=message))
    return silent


def _is_silent(run: FlowRun, at: datetime, client: SyncPrefectClient) -> bool:
    if run.state is None or run.state.timestamp > at - SILENCE:
        return False
    signs = EventFilter(
        occurred=EventOccurredFilter(since=at - SILENCE, until=at),
        event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{run.id}"]),
    )
    return not client.read_events(signs, limit=1).events
