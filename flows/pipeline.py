"""The main job: from raw tables to four champions, releases and drift reports."""

import json
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from pydantic import BaseModel, ConfigDict, Field

from clock import now
from consent_api.periods import Period
from database import open_database
from features.current import NothingIngested, newest_full_month, newest_moment
from features.lake import open_lake
from features.online import OnlineStore
from features.online_rows import newest_rows
from features.own_spending import SPENDING_YEAR
from features.refusals import RefusedFile, UnknownTable, UnwritableLake
from features.spending_year import spending_year
from features.tables import TABLES
from flows.aggregate import AggregateRequest, aggregate
from flows.demo import give_consents
from flows.drift import DriftRequest, drift
from flows.full_disk import NoRoom
from flows.ingest import IngestRequest, ingest
from flows.refusing import refusing
from flows.score import ScoreRequest, score
from flows.train import TrainRequest, train
from registry import models
from settings import settings
from simulator import BankInTheWay, SimulationConfig, simulate
from training.task import NotTrainable

DAYS = 30
MOST_SCORES = 5000
"""What the first journal and drift report of a new champion are made from: days of applications and payments, and most rows."""


class PipelineRequest(BaseModel):
    """How large a bank to simulate where there are no raw tables yet, and how long to search."""

    model_config = ConfigDict(extra="forbid")

    clients: int = Field(5000, ge=200, le=1_000_000, description="Clients of the simulated bank.")
    trials: int = Field(8, ge=1, le=1000, description="Most configurations to try per model.")
    seconds: float = Field(10, ge=1, le=86_400, description="Longest search per model, in seconds.")


@flow(name="pipeline", validate_parameters=True, flow_run_name="pipeline")
@refusing(RefusedFile, UnwritableLake, UnknownTable, NothingIngested, BankInTheWay, NoRoom)
def pipeline(request: PipelineRequest) -> list[dict[str, Any]]:
    """Raw tables → lake → online features → four champions → journal, drift reports and releases; one row per use case.

    A bank is simulated only where neither `var/raw` nor the lake holds tables of your own, and only simulated clients are given
    consents.
    """
    raw = settings().var / "raw"
    simulated = make_bank(request.clients, raw)
    for table in TABLES:
        if (raw / table).is_dir():
            ingest(IngestRequest(table=table, path=str(raw / table)))
    lake = open_lake(settings())
    versions = lake.versions()
    if _nothing_to_do(versions, request):
        get_run_logger().info("the lake has nothing new: the champions stay")
        return _summary({})
    publish_online_features()
    reasons: dict[str, str] = {use_case: _renew(use_case, request) for use_case in models.USE_CASES}
    if simulated:
        give_demo_consents()
    if "transactions" in versions:
        _release(newest_full_month(lake.read("transactions")))
    _remember({"lake": versions, "champions": _champions(), "budget": _budget(request)})
    summary = _summary(reasons)
    create_table_artifact(key="pipeline", table=summary, description="The champions that this run left.")
    return summary


def _release(month: str) -> None:
    """Make the reports of a month, unless its purchases came from where the next one has begun already and here it has not."""
    end = Period.of(month).end
    if now() < end:
        get_run_logger().warning("no reports of %s yet: they are made from %s on", month, f"{end:%Y-%m-%d}")
        return
    aggregate(AggregateRequest(period=month))


def _renew(use_case: Any, request: PipelineRequest) -> str:
    """Train a use case, score what is current with its champion, compare that with the reference; says how it went."""
    try:
        trained = train(TrainRequest(use_case=use_case, trials=request.trials, seconds=request.seconds, seed=settings().seed))
    except NoRoom:
        raise  # the next run is to try again, though the lake has nothing new
    except NotTrainable as error:
        return f"not trained: {error}"
    if models.champion_version(use_case) is None:
        return trained.reason
    score(ScoreRequest(use_case=use_case, days=DAYS, most=MOST_SCORES))
    compared = drift(DriftRequest(use_case=use_case))
    return f"{trained.reason}; no drift report: {compared.reason}" if compared.reason else trained.reason


@task
def make_bank(clients: int, raw: Path) -> bool:
    """Simulate the bank unless raw tables are there already; tells whether the bank is a simulated one."""
    logger = get_run_logger()
    own = any((raw / table).is_dir() for table in TABLES) or bool(open_lake(settings()).versions())
    if own and not (raw / "bank.json").is_file():
        logger.info("there are tables that were not simulated: they are taken as they are")
        return False
    config = SimulationConfig(clients=clients, seed=settings().seed)
    bank = simulate(config, raw, lambda done, of: logger.info("chunk %d of %d", done, of))
    logger.info("bank of %d clients %s", clients, "was there" if bank.reused else f"simulated in {bank.seconds:.0f} s")
    return True


@task
def publish_online_features() -> None:
    """Write the newest feature row of every client for serving."""
    tables = open_lake(settings()).tables()
    if "clients" not in tables:
        raise NothingIngested("the lake has no table clients: ingest it first (make ingest)")
    store = OnlineStore(open_database(settings().database("online")))
    moment = newest_moment(tables)
    for name, rows in newest_rows(tables, moment).items():
        store.write(name, rows.to_pandas())
    store.write(SPENDING_YEAR, spending_year(tables, moment, settings().exchange_rates).to_pandas())


@task
def give_demo_consents() -> None:
    """Let the simulated clients consent, so that there is something to release."""
    clients = open_lake(settings()).read("clients").client_code.to_pandas().tolist()
    get_run_logger().info("%d consents given by simulated clients", give_consents(sorted(clients)))


def _champions() -> dict[str, str | None]:
    return {name: models.champion_version(name) for name in models.USE_CASES}


def _summary(reasons: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"use case": name, "champion": version or "none", "this run": reasons.get(name, "nothing new in the lake")}
        for name, version in _champions().items()
    ]


def _nothing_to_do(lake: dict[str, int], request: PipelineRequest) -> bool:
    """Whether the run before left these very champions of this lake; where one is missing, another budget may find it."""
    path = settings().var / "pipeline.json"
    done = json.loads(path.read_text()) if path.is_file() else {}
    champions = _champions()
    same = (done.get("lake"), done.get("champions")) == (lake, champions)
    return same and (None not in champions.values() or done.get("budget") == _budget(request))


def _budget(request: PipelineRequest) -> dict[str, float]:
    return {"trials": request.trials, "seconds": request.seconds}


def _remember(state: dict[str, Any]) -> None:
    path = settings().var / "pipeline.json"
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(state, indent=1))
    fresh.replace(path)
