"""Every flow as a deployment, so that the Prefect UI and schedules can start it."""

from typing import Any

from prefect import Flow
from prefect.deployments.runner import RunnerDeployment

from flows.aggregate import aggregate
from flows.drift import drift
from flows.ingest import ingest
from flows.pipeline import pipeline
from flows.score import score
from flows.train import train

DESCRIPTIONS: dict[Flow[Any, Any], str] = {
    ingest: "A file of the bank → the next version of a lake table, and its quarantine.",
    train: "Search, fit, register and gate one use case.",
    score: "Score the newest rows of a use case with its champion, into the journal.",
    aggregate: "Make the partners' anonymised releases of one month.",
    drift: "Compare the journal with the champion's reference; write the Evidently report.",
    pipeline: "The main job: from raw tables to four champions, releases and reports.",
}


def deployments() -> list[RunnerDeployment]:
    """One deployment per flow, named like it."""
    return [RunnerDeployment.from_flow(flow, name=flow.name, description=text) for flow, text in DESCRIPTIONS.items()]
