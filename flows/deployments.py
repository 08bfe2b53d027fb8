"""Every flow as a deployment: started by hand in the Prefect UI, by a schedule, or by an event."""

from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger
from prefect.schedules import Cron, Schedule

from flows.aggregate import aggregate
from flows.drift import drift
from flows.gate import gate
from flows.ingest import ingest
from flows.labels import labels
from flows.pipeline import pipeline
from flows.push import push
from flows.quality import quality
from flows.respond import respond
from flows.retention import retention
from flows.score import score
from flows.score_table import score_table
from flows.train import train
from flows.train_table import train_table
from registry.models import USE_CASES

DESCRIPTIONS: dict[Flow[Any, Any], str] = {
    ingest: "A file of the bank → the next version of a lake table, and its quarantine.",
    train: "Search, fit, register and gate one use case.",
    score: "Score the newest rows of a use case with its champion, into the journal.",
    train_table: "A model from a table of your own: search, fit, register and gate.",
    score_table: "A file scored with the champion of such a model, into CSV or Parquet.",
    push: "Recommendations and push texts for every client, in one batch job.",
    aggregate: "Make the partners' anonymised releases of one month.",
    retention: "Delete from the consent database what is due, with evidence; every day.",
    drift: "Compare the journal with the champion's reference; write the Evidently report. Every night for each use case.",
    labels: "A file of labels → joined to the scores of the journal.",
    quality: "How good a champion is: realised where labels have come, estimated where not. Every night for each use case.",
    respond: "Answer an event of drift or lost quality: retrain as challenger, wait, or have the source mended.",
    gate: "Judge the challengers of such answers once their time in shadow is over; every 15 minutes.",
    pipeline: "The main job: from raw tables to four champions, releases and reports.",
}


def _nightly(hour: int) -> list[Schedule]:
    """One run a night for each use case, a quarter of an hour apart."""
    return [
        Cron(f"{15 * index} {hour} * * *", slug=use_case, parameters={"request": {"use_case": use_case}})
        for index, use_case in enumerate(USE_CASES)
    ]


SCHEDULES: dict[Flow[Any, Any], list[Schedule]] = {
    # In UTC, quality after drift: a loss of quality is judged knowing which columns are broken.
    drift: _nightly(1),
    quality: _nightly(2),
    retention: [Cron("0 4 * * *", slug="daily")],
    gate: [Cron("*/15 * * * *", slug="often")],
}

ONE_AT_A_TIME = frozenset({train, train_table, push, respond, pipeline})
"""Two runs of these would share the processors and learn, or write, the same: the second waits for the first."""


def _answered(kind: str) -> DeploymentEventTrigger:
    """Runs `respond` for every event of a kind; what the flow `respond` is asked is in the event's payload."""
    return DeploymentEventTrigger(
        name=f"respond to {kind}",
        description=f"An event opora.{kind}.<use case> starts the flow respond with what it says.",
        expect={f"opora.{kind}.*"},
        for_each={"prefect.resource.id"},
        threshold=1,
        parameters={
            "request": {
                "kind": kind,
                "event_id": "{{ event.id | string }}",
                "use_case": "{{ event.payload.use_case }}",
                "version": "{{ event.payload.version }}",
                "broken": "{{ event.payload.broken | default([]) }}",
                "detail": "{{ (event.payload.detail | default(''))[:2000] }}",
                "report": "{{ event.payload.report | default('') }}",
            }
        },
    )


def deployments() -> list[RunnerDeployment]:
    """One deployment per flow, named like it, with its schedules; `respond` also with the automations that start it."""
    return [
        RunnerDeployment.from_flow(
            flow,
            name=flow.name,
            description=text,
            schedules=SCHEDULES.get(flow),
            concurrency_limit=ConcurrencyLimitConfig(limit=1) if flow in ONE_AT_A_TIME else None,
            triggers=[_answered("drift"), _answered("quality")] if flow is respond else None,
        )
        for flow, text in DESCRIPTIONS.items()
    ]
