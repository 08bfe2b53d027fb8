"""P32: no body, parameter or order of calls gives a 5xx, or an answer that the description does not announce.

`OPORA_SCHEMA_CASES=2000` tries as many cases for each service as the promise names; without it a tenth of that.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from pydantic import SecretStr
from schemathesis.engine import from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished
from starlette.types import ASGIApp

from bentos.fraud.service import fraud_app
from bentos.income.service import income_app
from bentos.prescoring.service import prescoring_app
from bentos.recommendation.service import recommendation_app
from bentos.serving.application import guarded
from bentos.serving.backend import Backend
from settings import Settings

CASES = int(os.environ.get("OPORA_SCHEMA_CASES", "200"))
SEED = 20260101
KEY = "a-key-of-the-tests"
APPS: dict[str, Callable[[Backend], FastAPI]] = {
    "fraud": fraud_app,
    "income": income_app,
    "prescoring": prescoring_app,
    "recommendation": recommendation_app,
}


@pytest.fixture(scope="module", params=list(APPS))
def app(request: pytest.FixtureRequest, bank: Settings, promote: Callable[[str, int], str]) -> Iterator[tuple[FastAPI, ASGIApp]]:
    """A service over a small real champion, with a key configured."""
    use_case = request.param
    promote(use_case, 1)
    config = bank.model_copy(update={"api_keys": (SecretStr(KEY),), "allowed_hosts": ("testserver",)})
    backend = Backend(use_case, config)
    backend.champion.look()
    backend.start()
    app = APPS[use_case](backend)
    yield app, guarded(app, config)
    backend.stop()


FAIR: dict[str, tuple[str, ...]] = {
    "/prescore": ("422",),  # dates that exist
    "/upload_features": ("422",),
    "/api/predictions": ("422",),  # features by the names that the model in force knows
    "/api/simulate": ("422",),
    "/api/admin/seed/start": ("422", "503"),  # 30.0 for 30
    "/api/admin/import/start": ("422", "503"),
    "/api/imports/income-csv": ("415", "422", "503"),  # what a file holds
    "/api/labels": ("422",),  # what a label belongs to
    "/upload/clients": ("415", "422"),
    "/upload/transactions": ("415", "422"),
    "/upload/transfers": ("415", "422"),
}
"""Refusals of bodies that fit their schema: these keep rules that JSON Schema cannot say. 503 is for flows without Prefect."""

WITHOUT_PREFECT = "^/api/(admin|imports)/"
"""Paths that start and watch flow runs: 503 is their answer where no Prefect server runs, as here."""


def configured(description: dict[str, Any]) -> schemathesis.Config:
    """All checks on good and bad data; as many examples as give `CASES`, shared among the operations that take any input."""
    operations = [operation for operations in description["paths"].values() for operation in operations.values()]
    with_input = [operation for operation in operations if "requestBody" in operation or operation.get("parameters")]
    exceptions: list[dict[str, Any]] = [
        {"include-path": path, "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "401", "404", "409", *fair]}}}
        for path, fair in FAIR.items()
    ]
    waiting = {"not_a_server_error": {"expected-statuses": ["2xx", "4xx", "503"]}}
    exceptions.append({"include-path-regex": WITHOUT_PREFECT, "checks": waiting})
    return schemathesis.Config.from_dict(
        {
            "seed": SEED,
            "headers": {"X-API-Key": KEY},
            "generation": {"mode": "all", "max-examples": -(-CASES // len(with_input)), "deterministic": True},
            "operations": exceptions,
            "cache": {"enabled": False},
        }
    )


def test_p32_no_5xx_and_no_lie_in_the_description(app: tuple[FastAPI, ASGIApp]) -> None:
    described, served = app
    schema = schemathesis.openapi.from_asgi("/openapi.json", served, config=configured(described.openapi()))
    cases = 0
    failures: dict[str, str] = {}
    for event in from_schema(schema).execute():
        assert not isinstance(event, FatalError), event
        if isinstance(event, NonFatalError):
            failures[f"{event.label}: {event.info.title}"] = str(event.info.message)
        if isinstance(event, ScenarioFinished):
            cases += len(event.recorder.cases)
            failures |= failed(event)
    print(f"{described.title}: {cases} cases, seed {SEED}")
    assert not failures, "\n\n".join(f"{where}\n{what}" for where, what in failures.items())
    assert cases >= CASES


def failed(scenario: ScenarioFinished) -> dict[str, str]:
    """One failure of each kind, with the request that shows it."""
    checks = [check for checks in scenario.recorder.checks.values() for check in checks if check.failure_info is not None]
    return {
        f"{scenario.recorder.label}: {check.name}: {check.failure_info.failure.title}": "\n".join(
            (check.failure_info.failure.message, check.failure_info.code_sample)
        )[:1500]
        for check in checks
    }
