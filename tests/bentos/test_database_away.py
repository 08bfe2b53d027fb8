"""A database that does not answer is no fault of the caller and no defect: 503, and when to come again."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest
from starlette.testclient import TestClient

from bentos.fraud.service import fraud_app
from bentos.income.service import income_app
from bentos.serving.application import guarded
from bentos.serving.backend import Backend
from database import open_database
from features.online import OnlineStore
from settings import Settings

NOBODY = "postgresql+psycopg://opora:CANARY-PASSWORD@127.0.0.1:1/opora"


@pytest.fixture
def http(tmp_path: Path, opened: Callable[[str], Backend]) -> TestClient:
    backend = Backend("income", Settings(var=tmp_path, database_url=NOBODY))
    backend.champion = opened("income").champion
    return TestClient(guarded(income_app(backend), backend.config), base_url="http://127.0.0.1", raise_server_exceptions=False)


@pytest.mark.parametrize("path", ["/api/monitoring/model-health", "/api/clients"])
def test_an_endpoint_whose_database_is_away_answers_503(http: TestClient, path: str) -> None:
    answer = http.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_unavailable")
    assert answer.headers["Retry-After"] == "1"
    assert "CANARY" not in answer.text


def test_labels_are_not_taken_and_are_to_be_sent_again(http: TestClient) -> None:
    answer = http.post("/api/labels", json={"labels": [{"score_id": "a", "label": 1}]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "journal_unavailable")
    assert "send them again" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/score_transaction", {"client_id": "100008", "amount": 1}),
        ("/api/v1/explain_transaction", {"client_id": "100008", "amount": 1}),
        ("/api/v1/score_batch", {"items": [{"client_id": "100008", "amount": 1}]}),
    ],
)
def test_a_payment_is_not_scored_as_a_strangers_while_its_client_cannot_be_looked_up(
    tmp_path: Path, opened: Callable[[str], Backend], path: str, body: dict[str, object]
) -> None:
    living = opened("fraud")
    backend = Backend("fraud", living.config)
    backend.champion, backend.journal, backend.shadow = living.champion, living.journal, living.shadow
    backend.online = OnlineStore(open_database(f"sqlite:///{tmp_path}/online.db"))
    with closing(connect(tmp_path / "online.db")) as connection:
        connection.execute("DROP TABLE online_features")
    client = TestClient(guarded(fraud_app(backend), backend.config), base_url="http://127.0.0.1", raise_server_exceptions=False)
    answer = client.post(path, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_unavailable")
