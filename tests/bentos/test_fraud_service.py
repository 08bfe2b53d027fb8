"""Promises of POST /api/v1/score_transaction."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from bentos.fraud.requests import TransactionScoringRequest
from bentos.fraud.rows import FraudRows
from bentos.fraud.scoring import borders, check_thresholds, risk_levels
from bentos.fraud.service import fraud_app
from bentos.serving.application import guarded
from bentos.serving.backend import Backend
from clock import now
from edge.keys import ConfigurationError
from features.sets import fill_missing
from settings import Settings

PATH = "/api/v1/score_transaction"
EXAMPLE = {
    "client_id": "12345",
    "amount": 31000,
    "os_ver_cnt_30d": 2,
    "phone_model_cnt_30d": 1,
    "login_sessions_7d": 15,
    "login_sessions_30d": 80,
    "logins_per_day_7d": 1.5,
    "logins_per_day_30d": 1.2,
    "login_freq_change_7d_vs_30d": 0.1,
    "logins_7d_share_of_30d": 0.3,
    "avg_session_interval_30d": 60,
    "std_session_interval_30d": 5,
    "var_session_interval_30d": 25,
    "ewm_session_interval_7d": 30,
    "burstiness_sessions": 0.8,
    "fano_factor_sessions": 2.0,
    "zscore_interval_7d_vs_30d": -1.2,
}


@pytest.fixture(scope="module")
def backend(opened: Callable[[str], Backend]) -> Backend:
    backend = opened("fraud")
    row = {"client_code": ["777"], "as_of": [pd.Timestamp(2026, 1, 1)], "login_sessions_7d": [9.0], "burstiness_sessions": [None]}
    backend.online.write("fraud", pd.DataFrame(row))
    return backend


@pytest.fixture(scope="module")
def client(backend: Backend, service_client: Callable[[str], TestClient]) -> TestClient:
    return service_client("fraud")


def journalled(backend: Backend, score_id: str) -> pd.Series:
    rows = backend.journal.window("fraud", now() - timedelta(minutes=5), now() + timedelta(minutes=5))
    return rows[rows.score_id == score_id].iloc[0]


def test_the_answer_has_exactly_the_contracts_fields_and_its_row_is_in_the_journal(backend: Backend, client: TestClient) -> None:
    answer = client.post(PATH, json=EXAMPLE)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"fraud_probability", "risk_level", "model_version", "score_id"}
    assert UUID(body["score_id"]).version == 7
    row = journalled(backend, body["score_id"])
    assert row.prediction_fraud == body["fraud_probability"]
    assert row.decision_fraud == body["risk_level"]
    assert row.model_version == body["model_version"]
    assert (row.client_id, row.status, row.use_case) == ("12345", "ok", "fraud")
    assert row.feature_amount == 31000
    assert row.feature_zscore_interval_7d_vs_30d == -1.2
    assert row.latency_ms > 0


def test_the_score_is_the_models_own_on_the_row_in_the_journal(backend: Backend, client: TestClient) -> None:
    body = client.post(PATH, json=EXAMPLE).json()
    row = journalled(backend, body["score_id"])
    scorer = backend.champion.model().scorer
    again = scorer.predict(pd.DataFrame([{name: row[f"feature_{name}"] for name in scorer.columns}]))["fraud"]
    np.testing.assert_allclose(again, body["fraud_probability"], rtol=1e-12)


def test_the_amount_alone_is_enough(client: TestClient) -> None:
    assert client.post(PATH, json={"amount": 1}).status_code == 200


MONDAY = datetime(2026, 1, 5, 15, 30, tzinfo=UTC)


def seen(backend: Backend, request: dict[str, object], online: dict[str, object]) -> dict[str, object]:
    columns = backend.champion.model().scorer.columns
    values = FraudRows(columns).one(TransactionScoringRequest.model_validate(request), online, MONDAY)
    return dict(zip(columns, values, strict=True))


def test_given_features_win_over_online_ones_and_null_is_looked_up(backend: Backend) -> None:
    online = {"login_sessions_7d": 9.0, "login_sessions_30d": 20.0}
    row = seen(backend, {"amount": 5, "login_sessions_7d": 3, "login_sessions_30d": None}, online)
    assert (row["login_sessions_7d"], row["login_sessions_7d_was_missing"]) == (3, 0)
    assert (row["login_sessions_30d"], row["login_sessions_30d_was_missing"]) == (20, 0)


def test_a_feature_that_is_nowhere_is_zero_with_its_flag_set(backend: Backend) -> None:
    row = seen(backend, {"amount": 5}, {"burstiness_sessions": None})
    assert (row["burstiness_sessions"], row["burstiness_sessions_was_missing"]) == (0, 1)
    flags = [name for name in row if name.endswith("_was_missing")]
    assert len(flags) >= 15
    assert all(row[flag] == 1 for flag in flags)


def test_missing_values_are_filled_as_in_training(backend: Backend) -> None:
    given = {"amount": 5, "login_sessions_7d": 3, "burstiness_sessions": None}
    row = seen(backend, given, {"login_sessions_30d": 20.0, "client_payments_7d": 4, "std_session_interval_30d": None})
    raw = pd.DataFrame([given | {"login_sessions_30d": 20.0, "client_payments_7d": 4}])
    for name, value in fill_missing(raw).iloc[0].items():
        assert row[name] == value, name


def test_every_behaviour_feature_of_the_contract_reaches_the_model(backend: Backend) -> None:
    row = seen(backend, EXAMPLE, {})
    for name, value in EXAMPLE.items():
        if name != "client_id":
            assert row[name] == value


def test_online_features_are_used_for_a_client(backend: Backend, client: TestClient) -> None:
    body = client.post(PATH, json={"client_id": "777", "amount": 5}).json()
    row = journalled(backend, body["score_id"])
    assert row.feature_login_sessions_7d == 9
    assert row.feature_login_sessions_7d_was_missing == 0
    assert row.feature_burstiness_sessions_was_missing == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": None}, "amount"),
        ({"amount": -1}, "amount"),
        ({"amount": 1e12}, "amount"),
        ({"amount": 1e308}, "amount"),
        ({"amount": "31000"}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": [1]}, "amount"),
        ({"login_sessions_7d": -1}, "login_sessions_7d"),
        ({"burstiness_sessions": 1.5}, "burstiness_sessions"),
        ({"zscore_interval_7d_vs_30d": 1e300}, "zscore_interval_7d_vs_30d"),
        ({"client_id": 12345}, "client_id"),
        ({"client_id": ""}, "client_id"),
        ({"client_id": "a\u0000b"}, "client_id"),
        ({"client_id": "12345\n"}, "client_id"),
        ({"client_id": "x" * 65}, "client_id"),
        ({"is_fraud": 0}, "is_fraud"),
    ],
)
def test_a_wrong_value_is_refused_with_the_field_named(client: TestClient, change: dict[str, object], field: str) -> None:
    answer = client.post(PATH, json=EXAMPLE | change)
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == field


@pytest.mark.parametrize(
    "text", ['{"amount": NaN}', '{"amount": Infinity}', '{"amount": -Infinity}', "{", "[]", "null", "", "[" * 100_000]
)
def test_what_is_not_a_payment_is_refused(client: TestClient, text: str) -> None:
    answer = client.post(PATH, content=text, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert set(answer.json()) == {"error"}


def test_a_refused_payment_leaves_no_row(backend: Backend, client: TestClient) -> None:
    def rows() -> int:
        return len(backend.journal.window("fraud", now() - timedelta(hours=1), now() + timedelta(hours=1)))

    before = rows()
    client.post(PATH, json={"amount": -1})
    assert rows() == before


THRESHOLDS = {"medium": 0.26, "high": 0.8}


@pytest.mark.parametrize(
    ("probability", "level"), [(0, "low"), (0.2599, "low"), (0.26, "medium"), (0.7999, "medium"), (0.8, "high")]
)
def test_the_level_follows_the_thresholds_of_the_model(probability: float, level: str) -> None:
    assert risk_levels([probability], borders(THRESHOLDS, Settings())) == [level]


def test_settings_override_the_thresholds_one_by_one() -> None:
    assert borders(THRESHOLDS, Settings(risk_threshold_medium=0.5)) == (0.5, 0.8)
    assert borders(THRESHOLDS, Settings(risk_threshold_high=0.3)) == (0.26, 0.3)


def test_a_payment_above_both_borders_is_high_however_they_lie() -> None:
    assert risk_levels([0.3], borders(THRESHOLDS, Settings(risk_threshold_high=0.1))) == ["high"]


@pytest.mark.parametrize(
    ("overrides", "level"),
    [({"high": 0.0}, "high"), ({"medium": 0.0, "high": 1.0}, "medium"), ({"medium": 1.0, "high": 1.0}, "low")],
)
@pytest.mark.parametrize("path", [PATH, "/api/v1/score_batch", "/api/v1/explain_transaction"])
def test_the_level_answered_and_kept_follows_the_thresholds(
    backend: Backend, path: str, overrides: dict[str, float], level: str
) -> None:
    config = backend.config.model_copy(update={f"risk_threshold_{name}": value for name, value in overrides.items()})
    strict = Backend("fraud", config)
    strict.champion, strict.journal, strict.online, strict.shadow = (
        backend.champion,
        backend.journal,
        backend.online,
        backend.shadow,
    )
    client = TestClient(guarded(fraud_app(strict), config), base_url="http://127.0.0.1")
    body = client.post(path, json={"items": [EXAMPLE]} if path.endswith("batch") else EXAMPLE).json()
    answer = body["results"][0] if "results" in body else body
    assert answer["risk_level"] == level
    assert journalled(backend, answer["score_id"]).decision_fraud == level


def test_a_version_that_cannot_be_prepared_is_told_to_the_follower(backend: Backend) -> None:
    fresh = Backend("fraud", backend.config)
    fraud_app(fresh)
    model = backend.champion.model()
    without = replace(model, scorer=replace(model.scorer, thresholds={}))
    with pytest.raises(KeyError):
        fresh._prepare(without)


def test_a_model_that_fails_on_a_payment_is_journalled_as_failed(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("canary 4711")

    monkeypatch.setattr("registry.fast.FastScorer.predict_one", broken)
    monkeypatch.setattr("registry.fast.FastScorer.predict", broken)
    client = TestClient(guarded(fraud_app(backend), backend.config), base_url="http://127.0.0.1", raise_server_exceptions=False)
    before = now()
    assert client.post(PATH, json=EXAMPLE).status_code == 500
    assert client.post("/api/v1/score_batch", json={"items": [EXAMPLE, {"amount": 7}]}).status_code == 500
    rows = backend.journal.window("fraud", before, now() + timedelta(minutes=1))
    assert rows.status.tolist() == ["failed"] * 3
    assert sorted(rows.feature_amount) == [7, 31000, 31000]
    assert set(rows.error) == {"RuntimeError"}


def test_thresholds_that_contradict_each_other_stop_the_start() -> None:
    with pytest.raises(ConfigurationError, match="OPORA_RISK_THRESHOLD"):
        check_thresholds(Settings(risk_threshold_medium=0.9, risk_threshold_high=0.1))


def test_two_keys_are_valid_during_a_rotation(backend: Backend) -> None:
    config = backend.config.model_copy(update={"api_keys": (SecretStr("old"), SecretStr("new"))})
    client = TestClient(guarded(fraud_app(backend), config), base_url="http://127.0.0.1")
    statuses = [client.post(PATH, json=EXAMPLE, headers={"X-API-Key": key}).status_code for key in ("old", "new", "other")]
    assert statuses == [200, 200, 401]
    assert client.post(PATH, json=EXAMPLE).status_code == 401
    assert client.get("/").json() == {"status": "ok"}


def test_beyond_loopback_without_keys_a_service_does_not_start() -> None:
    with pytest.raises(ConfigurationError, match="OPORA_API_KEYS"):
        Backend("fraud", Settings(host="0.0.0.0"))
