"""Every flow as a deployment, so that the Prefect UI and schedules can start it."""

from typing import Any

from prefect import Flow
from prefect.deployments.runner import RunnerDeployment

from flows.aggregate import aggregate
from flows.drift import drift
from flows.ingest import ingest
from flows.labels import labels
from flows.pipeline import pipeline
from flows.push import push
from flows.quality import quality
from flows.retention import retention
from flows.score import score
from flows.score_table import score_table
from flows.train import train
from flows.train_table import train_table

DESCRIPTIONS: dict[Flow[Any, Any], str] = {
    ingest: "A file of the bank → the next version of a lake table, and its quarantine.",
    train: "Search, fit, register and gate one use case.",
    score: "Score the newest rows of a use case with its champion, into the journal.",
    train_table: "A model from a table of your own: search, fit, register and gate.",
    score_table: "A file scored with the champion of such a model, into CSV or Parquet.",
    push: "Recommendations and push texts for every client, in one batch job.",
    aggregate: "Make the partners' anonymised releases of one month.",
    retention: "Delete from the consent database what is due, with evidence; to be run every day.",
    drift: "Compare the journal with the champion's reference; write the Evidently report.",
    labels: "A file of labels → joined to the scores of the journal.",
    quality: "How good a champion is: realised where labels have come, estimated where not.",
    pipeline: "The main job: from raw tables to four champions, releases and reports.",
}


def deployments() -> list[RunnerDeployment]:
    """One deployment per flow, named like it."""
    return [RunnerDeployment.from_flow(flow, name=flow.name, description=text) for flow, text in DESCRIPTIONS.items()]
