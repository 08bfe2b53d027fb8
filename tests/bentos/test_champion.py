"""A service follows the champion of the registry, and keeps what it has when the new one is no good."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from bentos.application import guarded
from bentos.backend import Backend
from bentos.champion import ChampionFollower
from bentos.fraud import fraud_app
from edge.errors import RequestRefused
from registry import models
from settings import Settings

PATH = "/api/v1/score_transaction"


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_without_a_champion_a_service_says_what_to_do_and_when_to_ask_again(tmp_path: Path) -> None:
    backend = Backend("fraud", Settings(var=tmp_path))
    client = TestClient(guarded(fraud_app(backend), backend.config), base_url="http://127.0.0.1")
    for answer in (client.post(PATH, json={"amount": 1}), client.get("/model")):
        assert answer.status_code == 503
        assert "make pipeline" in answer.json()["error"]["message"]
        assert int(answer.headers["Retry-After"]) >= 1
    assert client.get("/").status_code == 200
    assert not backend.champion.ready


def test_a_new_champion_takes_over_without_a_restart(
    opened: Callable[[str], Backend], promote: Callable[[str, int], str]
) -> None:
    backend = opened("fraud")
    client = TestClient(guarded(fraud_app(backend), backend.config), base_url="http://127.0.0.1")
    before = client.post(PATH, json={"amount": 31_000}).json()
    version = promote("fraud", 2)
    assert wait_until(lambda: backend.champion.model().version == version)
    after = client.post(PATH, json={"amount": 31_000}).json()
    assert after["model_version"] == version != before["model_version"]
    assert after["fraud_probability"] != before["fraud_probability"]
    assert client.get("/model").json()["version"] == version


def test_a_rollback_takes_over_too(opened: Callable[[str], Backend], promote: Callable[[str, int], str]) -> None:
    backend = opened("fraud")
    old = backend.champion.model().version
    new = promote("fraud", 3)
    assert wait_until(lambda: backend.champion.model().version == new)
    models.client(backend.config).set_registered_model_alias("fraud", models.CHAMPION, old)
    assert wait_until(lambda: backend.champion.model().version == old)


def test_a_damaged_version_never_serves_and_is_logged_once(
    opened: Callable[[str], Backend], promote: Callable[[str, int], str], caplog: pytest.LogCaptureFixture
) -> None:
    backend = opened("fraud")
    good = backend.champion.model().version
    api = models.client(backend.config)
    version = promote("fraud", 4)
    api.set_model_version_tag("fraud", version, "opora.sha256", "0" * 64)
    for folder in (backend.config.var / "models" / "fraud").glob(f"{version}-*"):
        folder.rename(folder.with_name("gone"))
    follower = ChampionFollower("fraud", backend.config)
    follower._current = models.load_version("fraud", good, backend.config)
    follower.start()
    assert wait_until(lambda: "DamagedModel" in caplog.text)
    time.sleep(0.3)
    follower.stop()
    assert follower.model().version == good
    assert caplog.text.count("DamagedModel") <= 2
    api.set_registered_model_alias("fraud", models.CHAMPION, good)


def test_the_model_card_names_version_hash_age_and_source(opened: Callable[[str], Backend]) -> None:
    backend = opened("fraud")
    card = TestClient(guarded(fraud_app(backend), backend.config), base_url="http://127.0.0.1").get("/model").json()
    model = backend.champion.model()
    assert card["use_case"] == "fraud"
    assert (card["version"], card["sha256"]) == (model.version, model.sha256)
    assert card["source"] == f"models:/fraud/{model.version}"
    assert card["trained_at"] == "2026-01-01T00:00:00+00:00"
    assert card["age_seconds"] > 0


def test_a_follower_that_never_started_can_be_stopped(tmp_path: Path) -> None:
    follower = ChampionFollower("income", Settings(var=tmp_path))
    follower.stop()
    with pytest.raises(RequestRefused):
        follower.model()


def test_the_model_card_needs_a_key_and_the_documentation_does_not(opened: Callable[[str], Backend]) -> None:
    backend = opened("fraud")
    config = backend.config.model_copy(update={"api_keys": (SecretStr("key"),)})
    client = TestClient(guarded(fraud_app(backend), config), base_url="http://127.0.0.1")
    assert client.get("/model").status_code == 401
    specification = client.get("/openapi.json").json()
    assert PATH in specification["paths"]
    assert specification["components"]["securitySchemes"]["APIKeyHeader"]["name"] == "X-API-Key"
    assert client.get("/docs").status_code == 200


def test_metrics_name_the_route_and_no_client(opened: Callable[[str], Backend]) -> None:
    backend = opened("fraud")
    client = TestClient(guarded(fraud_app(backend), backend.config), base_url="http://127.0.0.1")
    client.post(PATH, json={"amount": 1})
    client.get("/clients/4711")
    text = client.get("/metrics").text
    assert f'opora_requests_total{{endpoint="{PATH}",status="200"}} 1.0' in text
    assert 'endpoint="other",status="404"' in text
    assert "4711" not in text
