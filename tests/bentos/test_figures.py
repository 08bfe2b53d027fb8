"""What Prometheus is told: refusals under the endpoint they were meant for, and figures whose names stay."""

from collections.abc import Callable
from functools import cache

import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY
from pydantic import SecretStr
from starlette.testclient import TestClient

from bentos.fraud.service import SCORE, fraud_app
from bentos.income.service import income_app
from bentos.serving.application import guarded
from bentos.serving.backend import Backend
from settings import PROJECT

KEY = {"X-API-Key": "a-key-of-the-tests"}
JSON = {"Content-Type": "application/json"}
CARD = "/api/clients/{id}/card"
CANARY = "870512300123"
NAMES = {
    "opora_requests_total",
    "opora_request_duration_seconds",
    "opora_model_info",
    "opora_model_swaps_total",
    "opora_model_load_failures_total",
    "opora_registry_seen_timestamp_seconds",
    "opora_shadow_model_info",
    "opora_shadow_rows_total",
    "opora_shadow_queue_rows",
    "opora_journal_queue_rows",
}
"""Dashboards and alerts ask for these: a name is changed with its README line and a note in the changelog."""


def counted(endpoint: str, status: int) -> float:
    return REGISTRY.get_sample_value("opora_requests_total", {"endpoint": endpoint, "status": str(status)}) or 0.0


@pytest.fixture(scope="module")
def http(opened: Callable[[str], Backend]) -> Callable[..., TestClient]:
    """A client of a service that asks for a key, with some settings changed."""

    @cache
    def app(use_case: str) -> FastAPI:
        return {"fraud": fraud_app, "income": income_app}[use_case](opened(use_case))

    def client(use_case: str, **changed: object) -> TestClient:
        config = opened(use_case).config.model_copy(update={"api_keys": (SecretStr(KEY["X-API-Key"]),), **changed})
        return TestClient(guarded(app(use_case), config), base_url="http://127.0.0.1", raise_server_exceptions=False)

    return client


@pytest.mark.parametrize(
    ("status", "request_", "changed"),
    [
        (401, {"content": b"{}", "headers": JSON}, {}),
        (413, {"content": b" " * 101, "headers": KEY | JSON}, {"body_limit": 100}),
        (415, {"content": b"\x80\x04.", "headers": KEY | {"Content-Type": "application/x-pickle"}}, {}),
        (429, {"content": b"{}", "headers": KEY | JSON}, {"rate_limit_per_second": 0.001, "rate_limit_burst": 1}),
        (400, {"content": b"{}", "headers": KEY | JSON | {"Host": "evil.example"}}, {}),
    ],
)
def test_a_refusal_before_the_endpoint_counts_for_the_endpoint(
    http: Callable[..., TestClient], status: int, request_: dict[str, object], changed: dict[str, object]
) -> None:
    client = http("fraud", **changed)
    if status == 429:
        client.post(SCORE, **request_)  # type: ignore[arg-type]
    before, lost = counted(SCORE, status), counted("other", status)
    assert client.post(SCORE, **request_).status_code == status  # type: ignore[arg-type]
    assert (counted(SCORE, status), counted("other", status)) == (before + 1, lost)


def test_a_refused_address_with_a_code_in_it_counts_by_its_template(http: Callable[..., TestClient]) -> None:
    client, before = http("income"), counted(CARD, 401)
    assert client.get(CARD.format(id=CANARY)).status_code == 401
    assert counted(CARD, 401) == before + 1
    assert CANARY not in client.get("/metrics", headers=KEY).text


def test_a_refusal_of_an_address_that_nobody_serves_counts_as_other(http: Callable[..., TestClient]) -> None:
    client, before = http("income"), counted("other", 401)
    assert client.get(f"/nowhere/{CANARY}").status_code == 401
    assert counted("other", 401) == before + 1


def test_the_figures_have_the_names_that_dashboards_ask_for(http: Callable[..., TestClient]) -> None:
    text = http("fraud").get("/metrics", headers=KEY).text
    told = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE opora_")}
    health = {name for name in told if name.startswith("opora_model_health_")}
    assert health
    assert {name for name in told - health if not name.endswith("_created")} == NAMES
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert [name for name in [*NAMES, "opora_model_health_*"] if f"`{name}`" not in readme] == []
