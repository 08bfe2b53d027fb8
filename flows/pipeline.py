"""The main job: from raw tables to four champions, a release and drift reports. `python -m flows.pipeline` runs it once."""

import argparse
import json
import sys
import time
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from pydantic import BaseModel, ConfigDict, Field

from database import open_database
from features.current import newest_moment
from features.lake import open_lake
from features.online import OnlineStore, newest_rows
from features.tables import TABLES
from flows.aggregate import AggregateRequest, aggregate
from flows.drift import DriftRequest, drift
from flows.ingest import IngestRequest, ingest
from flows.score import ScoreRequest, score
from flows.train import TrainRequest, train
from registry import models
from settings import settings
from simulator import SimulationConfig, simulate


class PipelineRequest(BaseModel):
    """How large a bank to simulate where there are no raw tables yet, and how long to search."""

    model_config = ConfigDict(extra="forbid")

    clients: int = Field(5000, ge=200, le=1_000_000, description="Clients of the simulated bank.")
    trials: int = Field(8, ge=1, le=1000, description="Most configurations to try per model.")
    seconds: float = Field(10, ge=1, le=86_400, description="Longest search per model, in seconds.")


@flow(name="pipeline", validate_parameters=True)
def pipeline(request: PipelineRequest) -> dict[str, str]:
    """Raw tables → lake → online features → four champions → journal, release and drift reports; returns the champions."""
    logger = get_run_logger()
    raw = settings().var / "raw"
    make_bank(request.clients, raw)
    for table in TABLES:
        ingest(IngestRequest(table=table, path=str(raw / table)))
    versions = open_lake(settings()).versions()
    if _finished() == {"lake": versions, "champions": _champions()}:
        logger.info("nothing new in the lake: champions %s stay", _champions())
        return _champions()
    publish_online_features()
    for use_case in models.USE_CASES:
        train(TrainRequest(use_case=use_case, trials=request.trials, seconds=request.seconds, seed=settings().seed))
        score(ScoreRequest(use_case=use_case))
        drift(DriftRequest(use_case=use_case))
    give_demo_consents()
    aggregate(AggregateRequest(period=_last_month()))
    _remember({"lake": versions, "champions": _champions()})
    return _champions()


@task
def make_bank(clients: int, raw: Path) -> None:
    """Simulate the bank where it is not there yet."""
    simulate(SimulationConfig(clients=clients, seed=settings().seed), raw, print)


@task
def publish_online_features() -> None:
    """Write the newest feature row of every client for serving."""
    lake = open_lake(settings())
    tables = {name: lake.read(name) for name in lake.versions()}
    store = OnlineStore(open_database(settings().database("online")))
    as_of = newest_moment(tables)
    for name, rows in newest_rows(tables, as_of).items():
        store.write(name, rows.to_pandas())


def _champions() -> dict[str, str]:
    return {name: models.champion_version(name) or "none" for name in models.USE_CASES}


def _finished() -> dict[str, object]:
    path = settings().var / "pipeline.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def _remember(state: dict[str, object]) -> None:
    (settings().var / "pipeline.json").write_text(json.dumps(state))
