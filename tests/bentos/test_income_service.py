"""Promises of POST /api/predictions."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pandas as pd
import pytest
from starlette.testclient import TestClient

from bentos.serving.backend import Backend
from clock import now

PATH = "/api/predictions"


@pytest.fixture(scope="module")
def backend(opened: Callable[[str], Backend], feature_rows: Callable[[str, int, int], pd.DataFrame]) -> Backend:
    backend = opened("income")
    rows = feature_rows("income", 2, 7).assign(client_code=["1", "2"], as_of=pd.Timestamp(2026, 1, 1))
    backend.online.write("income", rows)
    people = {"client_code": ["1", "2", "3"], "as_of": pd.Timestamp(2026, 1, 1), "name": ["Айгерим", None, "Ержан"]}
    backend.online.write("profile", pd.DataFrame(people))
    return backend


@pytest.fixture(scope="module")
def client(backend: Backend, service_client: Callable[[str], TestClient]) -> TestClient:
    return service_client("income")


def journalled(backend: Backend, score_id: str) -> pd.Series:
    rows = backend.journal.window("income", now() - timedelta(minutes=5), now() + timedelta(minutes=5))
    return rows[rows.score_id == score_id].iloc[0]


def numeric_feature(backend: Backend) -> str:
    return next(column.name for column in backend.champion.model().scorer.columns_ if column.vocabulary is None)


def test_the_answer_has_exactly_the_contracts_fields_and_its_row_is_in_the_journal(backend: Backend, client: TestClient) -> None:
    answer = client.post(PATH, json={"client_id": "1"})
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {
        "income_pred",
        "interval_low",
        "interval_high",
        "segment_code",
        "segment_name",
        "model_version",
        "score_id",
    }
    assert 0 < body["interval_low"] < body["income_pred"] < body["interval_high"]
    assert UUID(body["score_id"])
    row = journalled(backend, body["score_id"])
    assert row.prediction_income == body["income_pred"]
    assert row.decision_income == body["segment_code"]
    assert (row.model_version, row.client_id, row.status) == (body["model_version"], "1", "ok")


def test_a_client_is_scored_on_its_online_row(backend: Backend, client: TestClient) -> None:
    online = backend.online.get("income", "1")
    assert online is not None
    scorer = backend.champion.model().scorer
    alone = scorer.predict(pd.DataFrame([dict(online.values)]))["income"][0]
    assert client.post(PATH, json={"client_id": "1"}).json()["income_pred"] == pytest.approx(alone, abs=0.005)


def test_given_features_override_online_ones(backend: Backend, client: TestClient) -> None:
    name = numeric_feature(backend)
    body = client.post(PATH, json={"client_id": "1", "features": {name: 123.5}}).json()
    assert journalled(backend, body["score_id"])[f"feature_{name}"] == 123.5


def test_features_alone_are_enough(backend: Backend, client: TestClient) -> None:
    body = client.post(PATH, json={"features": {numeric_feature(backend): 10}}).json()
    assert body["income_pred"] > 0
    assert pd.isna(journalled(backend, body["score_id"]).client_id)


def test_a_balance_may_be_negative_as_in_the_clients_table(backend: Backend, client: TestClient) -> None:
    body = client.post(PATH, json={"features": {"avg_monthly_balance_KZT": -5000}}).json()
    assert journalled(backend, body["score_id"]).feature_avg_monthly_balance_KZT == -5000


def test_an_unknown_client_is_404_and_a_client_without_features_409(client: TestClient) -> None:
    for code, status in (("nobody", 404), ("3", 409)):
        answer = client.post(PATH, json={"client_id": code})
        assert answer.status_code == status
        assert answer.json()["error"]["field"] == "client_id"
        assert "ingest" in answer.json()["error"]["message"]


def test_a_client_without_an_online_row_can_be_scored_on_given_features(backend: Backend, client: TestClient) -> None:
    assert client.post(PATH, json={"client_id": "3", "features": {numeric_feature(backend): 10}}).status_code == 200


def test_unknown_features_are_named(client: TestClient) -> None:
    answer = client.post(PATH, json={"client_id": "1", "features": {"shoe_size": 44, "spend_total_90d": 5, "eye_colour": "b"}})
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == "features.shoe_size"
    assert "eye_colour" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"features": {}}, "body"),
        ({"client_id": None, "features": None}, "body"),
        ({"client_id": 1}, "client_id"),
        ({"client_id": "1", "colour": 1}, "colour"),
        ({"features": []}, "features"),
        ({"features": {"spend_total_90d": "much"}}, "features.spend_total_90d"),
        ({"features": {"spend_total_90d": True}}, "features.spend_total_90d"),
        ({"features": {"spend_total_90d": 1e308}}, "features.spend_total_90d"),
        ({"features": {"spend_total_90d": [1]}}, "features.spend_total_90d"),
    ],
)
def test_a_wrong_body_is_refused_with_the_field_named(client: TestClient, body: dict[str, object], field: str) -> None:
    answer = client.post(PATH, json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == field


@pytest.mark.parametrize(
    "text", ['{"features": {"spend_total_90d": NaN}}', '{"features": {"a": "\\ud800"}}', "{", '{"client_id": "\\ud800"}']
)
def test_what_json_cannot_mean_is_refused(client: TestClient, text: str) -> None:
    answer = client.post(PATH, content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert set(answer.json()) == {"error"}
