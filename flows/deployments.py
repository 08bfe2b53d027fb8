"""Serves every flow to the Prefect server, so that the UI and schedules can start them: `python -m flows.deployments`."""

from prefect import serve

from flows.aggregate import aggregate
from flows.drift import drift
from flows.ingest import ingest
from flows.pipeline import pipeline
from flows.score import score
from flows.train import train


def main() -> None:
    """Register the deployments and run what the server schedules, until stopped."""
    serve(
        ingest.to_deployment("ingest", description="A file of the bank → the next version of a lake table, and its quarantine."),
        train.to_deployment("train", description="Search, fit, register and gate one use case."),
        score.to_deployment("score", description="Score the newest rows of a use case with its champion, into the journal."),
        aggregate.to_deployment("aggregate", description="Make a partner's anonymised release of one month."),
        drift.to_deployment(
            "drift", description="Compare the journal with the champion's reference; write the Evidently report."
        ),
        pipeline.to_deployment("pipeline", description="The main job: from raw tables to four champions, releases and reports."),
        pause_on_shutdown=False,
        limit=2,
    )


if __name__ == "__main__":
    main()
