"""P32 and P5: no input makes the consent service fail, answer what it does not announce, or forget to ask who calls.

`OPORA_SCHEMA_CASES=2000` tries as many cases as the promise names; without it a tenth of that.
"""

import os
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pandas as pd
import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from schemathesis.engine import from_schema
from schemathesis.engine.events import EngineEvent, FatalError, NonFatalError, ScenarioFinished

from clock import now
from consent_api.app import create_app, open_service
from consent_api.callers.identification import TOKEN_PATH
from database import open_database
from features.online import OnlineStore
from settings import Settings

CASES = int(os.environ.get("OPORA_SCHEMA_CASES", "200"))
SEED = 20260101
SUBJECTS = {"client": "100008", "partner": "dala-market", "staff": "aigerim", "auditor": "baurzhan"}
FAIR = {"positive_data_acceptance": {"expected-statuses": ["2xx", "304", "400", "401", "403", "404", "409", "422"]}}
"""Beside the schema there are lists (which companies), owners (whose data) and rules (which dates) that it cannot tell."""


@dataclass
class Caller:
    """A role, and the header that shows it."""

    role: str
    header: dict[str, str]

    def may(self, path: str, operation: dict[str, Any]) -> bool:
        """Whether the operation is tried in this role: those of nobody are tried by auditors."""
        if path == TOKEN_PATH:
            return self.role == "holder"
        return self.role in _roles(operation)

    def is_first(self, path: str, operation: dict[str, Any]) -> bool:
        """Whether this role tries the borders of the operation's schema, which are the same for all roles."""
        return path == TOKEN_PATH or self.role == next(role for role in SUBJECTS if role in _roles(operation))


def _roles(operation: dict[str, Any]) -> list[str]:
    return operation["x-roles"] or ["auditor"]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """The service over files of its own, with one client."""
    config = Settings(var=tmp_path_factory.mktemp("var"), database_url="", stranger_rate_per_second=1e6)
    profile = pd.DataFrame({"client_code": [SUBJECTS["client"]], "as_of": [now().replace(tzinfo=None)]})
    OnlineStore(open_database(config.database("online"))).write("profile", profile)
    app = create_app(lambda: open_service(config), config)
    with TestClient(app):
        yield app


@pytest.fixture(params=[*SUBJECTS, "holder"])
def caller(request: pytest.FixtureRequest, app: FastAPI) -> Caller:
    keyring, role = app.state.service.keyring, request.param
    if role != "holder":
        return Caller(role, {"X-API-Key": keyring.issue(role, SUBJECTS[role], now())})
    _, key_id, secret = keyring.issue("partner", SUBJECTS["partner"], now()).split("-", 2)
    return Caller(role, {"Authorization": f"Basic {b64encode(f'{key_id}:{secret}'.encode()).decode()}"})


def configured(caller: Caller, description: dict[str, Any], borders: bool) -> schemathesis.Config:
    """All checks on good and bad data, and the role's share of `CASES` among its operations that take any input.

    With `borders` also what lies at the borders of the schema.
    """
    operations = [
        operation
        for path, operations in description["paths"].items()
        for operation in operations.values()
        if caller.may(path, operation) and ("requestBody" in operation or operation.get("parameters"))
    ]
    return schemathesis.Config.from_dict(
        {
            "seed": SEED,
            "headers": caller.header,
            "generation": {
                "mode": "all",
                "max-examples": -(-CASES // (5 * len(operations))),
                "deterministic": True,
                "with-security-parameters": False,  # a second credential beside the caller's would be refused as such
            },
            "phases": {"coverage": {"enabled": borders}},
            "checks": FAIR,
            "cache": {"enabled": False},
        }
    )


def executed(app: FastAPI, caller: Caller, borders: bool) -> Iterator[EngineEvent]:
    """What happens as a role tries its operations: those of which it tries the borders, or the others."""
    config = configured(caller, app.openapi(), borders)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=config)

    def chosen(context: Any) -> bool:
        asked = (context.operation.path, context.operation.definition.raw)
        return caller.may(*asked) and caller.is_first(*asked) == borders

    return from_schema(schema.include(func=chosen)).execute()


def test_p32_no_5xx_and_no_lie_in_the_description(app: FastAPI, caller: Caller) -> None:
    cases, statuses = 0, Counter[int]()
    failures: dict[str, str] = {}
    for event in chain.from_iterable(executed(app, caller, borders) for borders in (True, False)):
        assert not isinstance(event, FatalError), event
        if isinstance(event, NonFatalError):
            failures[f"{event.label}: {event.info.title}"] = str(event.info.message)
        if isinstance(event, ScenarioFinished):
            cases += len(event.recorder.cases)
            statuses.update(each.response.status_code for each in event.recorder.interactions.values() if each.response)
            failures |= failed(event)
    print(f"{caller.role}: {cases} cases, seed {SEED}, {dict(sorted(statuses.items()))}")
    assert not failures, "\n\n".join(f"{where}\n{what}" for where, what in failures.items())
    assert cases >= CASES / 5


def failed(scenario: ScenarioFinished) -> dict[str, str]:
    """One failure of each kind, with the request that shows it."""
    checks = [check for checks in scenario.recorder.checks.values() for check in checks if check.failure_info is not None]
    return {
        f"{scenario.recorder.label}: {check.name}: {check.failure_info.failure.title}": "\n".join(
            (check.failure_info.failure.message, check.failure_info.code_sample)
        )[:1500]
        for check in checks
    }
