"""The flow that recommends to all clients and writes their push texts; also `python -m flows.push`, which is `make push`."""

import argparse
import gc
import sys
import time
from typing import Any
from uuid import UUID

from flows.addresses import use_running_server
from flows.command import Command

if __name__ == "__main__":
    command = Command()
    use_running_server()  # Prefect reads the server's address when it is imported

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from pydantic import BaseModel, ConfigDict, Field

from bentos.catalogue import Products, load_catalogue
from bentos.push.texts import Push
from bentos.recommendation.batch import Processed, Progress, process
from bentos.recommendation.lock import AlreadyProcessing, alone
from bentos.recommendation.pages import OnlinePages
from bentos.recommendation.push_batch import Pushed, PushWriter
from bentos.recommendation.refresh import refresh
from bentos.recommendation.store import RecommendationStore
from database import open_database
from features.current import NothingIngested
from features.lake import open_lake
from features.online import OnlineStore
from flows.refusing import refusing
from monitoring.journal import Journal
from monitoring.rows import open_journal
from registry.models import NoChampion, load_champion
from settings import settings

_EVERY_SECONDS = 5.0
_REFUSALS = (AlreadyProcessing, NoChampion, NothingIngested)


class PushRequest(BaseModel):
    """What to do."""

    model_config = ConfigDict(extra="forbid")

    newest_features: bool = Field(
        True, description="Compute the newest features from the lake first; off = take those that serving has."
    )


@flow(name="push", validate_parameters=True, flow_run_name="push")
@refusing(*_REFUSALS)
def push(request: PushRequest) -> dict[str, int]:
    """Recommend to every client with the champion, put that in force and write every push text; returns the counts.

    It fails at once when a service or another run is computing the recommendations.
    """
    started = time.perf_counter()
    with alone(settings()):
        if request.newest_features:
            refresh_features()
        counts = vars(recommend())
    counts |= vars(write_texts())
    rows = [{"what": name.replace("_", " "), "number": number} for name, number in counts.items()]
    seconds = time.perf_counter() - started
    create_table_artifact(key="push", table=rows, description=f"Recommendations and push texts of all clients, {seconds:.0f} s")
    get_run_logger().info("%d push texts for %d clients in %.0f s", counts["pushes"], counts["clients"], seconds)
    return counts


@task
def refresh_features() -> None:
    """Write the newest feature rows of every client.

    Raises:
        NothingIngested: the lake has no purchases, or no clients.
    """
    try:
        as_of = refresh(open_lake(settings()), OnlineStore(open_database(settings().database("online"))))
    except KeyError as error:
        raise NothingIngested(f"the lake has no table {error.args[0]}: ingest it first (make ingest)") from error
    get_run_logger().info("features as of %s", as_of.date())


@task
def recommend() -> Processed:
    """The recommendations of every client, in force when this returns.

    Raises:
        NoChampion: there is no model to recommend with. NothingIngested: serving knows no client, so that nothing would be left.
    """
    config = settings()
    engine = open_database(config.database("online"))
    products, model = load_catalogue(Products, config.catalogues), load_champion("recommendation", config)
    clients = OnlineStore(engine).count()
    if not clients:
        raise NothingIngested("serving has no features of any client: run it with the newest features, or make pipeline first")
    gc.collect()
    gc.freeze()  # what is loaded stays: to have every collection look through it again costs two fifths of the time
    with Journal(open_journal(config)) as journal:
        done = shown("recommendations", clients)
        return process(model, products, OnlinePages(engine), RecommendationStore(engine), journal, done)


@task
def write_texts() -> Pushed:
    """The push text of every client with recommendations."""
    engine = open_database(settings().database("online"))
    store = RecommendationStore(engine)
    run = store.current()
    assert run is not None, "recommend has just put a run in force"
    writer = PushWriter(load_catalogue(Push, settings().catalogues), OnlinePages(engine), store)
    return writer.write_all(run, shown("push-texts", store.statistics(run.id)["clients"]))


def shown(what: str, clients: int) -> Progress:
    """Shows in the UI, every few seconds, how many of the clients are done."""
    artifact: Any = create_progress_artifact(0.0, key=what, description=f"{what.replace('-', ' ')} of {clients} clients")
    last = time.monotonic()

    def show(done: int) -> None:
        nonlocal last
        if done >= clients or time.monotonic() - last >= _EVERY_SECONDS:
            last = time.monotonic()
            update_progress_artifact(UUID(str(artifact)), progress=round(min(100.0, 100 * done / max(clients, 1)), 1))

    return show


def main(arguments: list[str]) -> int:
    """Do the batch job and print its counts; returns the exit status."""
    parser = argparse.ArgumentParser(prog="make push", description=__doc__)
    parser.add_argument(
        "--stored-features", action="store_true", help="take the features that serving has, not the lake's newest"
    )
    started = time.monotonic()
    try:
        counts = push(PushRequest(newest_features=not parser.parse_args(arguments).stored_features))
    except _REFUSALS as error:
        print(f"No push texts: {error}", file=sys.stderr)
        return 1
    for name, number in counts.items():
        print(f"  {name.replace('_', ' '):<20} {number:>12,}")
    print(f"In {time.monotonic() - started:.0f} s.", flush=True)
    return 0


if __name__ == "__main__":
    command.end(main(sys.argv[1:]))
