"""Pushes the canaries through the flows, and in between through the services: `python -m tests.integration.canary_bank`.

To be run with OPORA_VAR set and a Prefect server at PREFECT_API_URL. The services run in a process of their own, as in a bank,
because they set up the logging of their process for themselves.
"""

import subprocess
import sys
from pathlib import Path

from prefect.deployments.runner import RunnerDeployment

from features.lake import open_lake
from features.refusals import RefusedFile
from flows.aggregate import AggregateRequest, aggregate
from flows.demo import give_consents
from flows.drift import DriftRequest, drift
from flows.ingest import IngestRequest, ingest
from flows.pipeline import publish_online_features
from flows.score import ScoreRequest, score
from flows.train import TrainRequest, train
from registry import models
from settings import settings
from tests.integration.canaries import CODES, NAMES, PERSON_NUMBERS, PHONES, fill

CLIENTS = 300
TABLES = ("clients", "transactions", "transfers", "sessions", "payments", "fraud_labels", "verified_incomes")
SERVED = ("income", "fraud")
MONTH = "2026-10"


def main() -> None:
    """The whole way, in the order of a bank's day."""
    config = settings()
    fill(config.var / "raw", CLIENTS, seed=3)
    for table in TABLES:
        ingest(IngestRequest(table=table, path=str(config.var / "raw" / table)))
    _refused_files(config.var / "raw")
    publish_online_features()
    RunnerDeployment.from_flow(ingest, name="ingest").apply()  # uploads become runs of it
    for use_case in SERVED:
        _champion(use_case)
    everybody = open_lake(config).read("clients").client_code.to_pandas()
    give_consents(sorted(set(everybody) - set(CODES)))
    _serve("clients")
    for file in sorted((config.var / "uploads").iterdir()):
        ingest(IngestRequest(table="verified_incomes", path=str(file)))
    for use_case in SERVED:
        score(ScoreRequest(use_case=use_case, days=30))
        drift(DriftRequest(use_case=use_case))
    aggregate(AggregateRequest(period=MONTH))
    _serve("partners", "erasure")


def _refused_files(raw: Path) -> None:
    """Two files that land nothing: one with a bad value in every row, one without a required column."""
    spoilt = "".join(
        f"{code};{name};{number};{phone};{name};{phone}\n"
        for code, name, number, phone in zip(CODES, NAMES, PERSON_NUMBERS, PHONES, strict=True)
    )
    header = "client_code;name;status;age;city;avg_monthly_balance_KZT\n"
    for table, name, content in (("clients", "spoilt", header + spoilt), ("payments", "headless", spoilt)):
        file = raw / f"{name}.csv"
        file.write_text(content, encoding="utf-8")
        try:
            ingest(IngestRequest(table=table, path=str(file)))
        except RefusedFile:
            continue
        raise AssertionError(f"{file} should have been refused")


def _champion(use_case: str) -> None:
    trained = train(TrainRequest(use_case=use_case, trials=1, seconds=3))
    if not trained.promoted:
        print(f"{use_case}: {trained.reason}")
        models.client(settings()).set_registered_model_alias(use_case, models.CHAMPION, trained.version)


def _serve(*parts: str) -> None:
    with (settings().var / "output" / f"{parts[0]}.log").open("wb") as output:
        command = [sys.executable, "-m", "tests.integration.canary_services", *parts]
        subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=True, timeout=300)


if __name__ == "__main__":
    main()
