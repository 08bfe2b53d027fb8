"""Promises of POST /api/v1/explain_transaction."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from bentos.fraud import reasons as fraud_reasons_module
from bentos.fraud.reasons import KNOWN, fraud_reasons, sentence
from bentos.fraud.requests import Wording
from bentos.serving.backend import Backend
from clock import now

PATH = "/api/v1/explain_transaction"
PAYMENT = {"client_id": "12345", "amount": 31000, "login_sessions_7d": 15, "burstiness_sessions": 0.8}
COLUMNS = ("amount", "hour", "login_sessions_7d", "login_sessions_7d_was_missing", "burstiness_sessions", "weekday")


@pytest.fixture(scope="module")
def backend(opened: Callable[[str], Backend]) -> Backend:
    return opened("fraud")


@pytest.fixture(scope="module")
def client(backend: Backend, service_client: Callable[[str], TestClient]) -> TestClient:
    return service_client("fraud")


def test_an_explanation_is_the_answer_and_at_most_four_reasons_in_both_languages(client: TestClient) -> None:
    alone = client.post("/api/v1/score_transaction", json=PAYMENT).json()
    answer = client.post(PATH, json=PAYMENT)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == {"fraud_probability", "risk_level", "model_version", "score_id", "reasons", "sentence"}
    assert body["fraud_probability"] == alone["fraud_probability"]
    assert 1 <= len(body["reasons"]) <= 4
    for reason in body["reasons"]:
        assert set(reason) == {"feature", "title", "value", "contribution", "direction"}
        assert reason["title"] == {"ru": KNOWN[reason["feature"]].title_ru, "en": KNOWN[reason["feature"]].title_en}
        assert (reason["direction"] == "raises") == (reason["contribution"] > 0)
    sizes = [abs(reason["contribution"]) for reason in body["reasons"]]
    assert sizes == sorted(sizes, reverse=True)
    assert body["sentence"]["ru"].startswith("Риск ")
    assert body["sentence"]["en"].startswith("The risk is ")


def test_contributions_are_the_models_own_and_the_row_is_in_the_journal(backend: Backend, client: TestClient) -> None:
    body = client.post(PATH, json=PAYMENT).json()
    rows = backend.journal.window("fraud", now() - timedelta(minutes=5), now() + timedelta(minutes=1)).set_index("score_id")
    row = rows.loc[body["score_id"]]
    assert (row.prediction_fraud, row.client_id) == (body["fraud_probability"], "12345")
    scorer = backend.champion.model().scorer
    frame = pd.DataFrame([{name: row[f"feature_{name}"] for name in scorer.columns}])
    exact = dict(zip(scorer.columns, scorer.contributions(frame, "fraud")[0], strict=False))
    for reason in body["reasons"]:
        assert reason["contribution"] == pytest.approx(exact[reason["feature"]], abs=1e-6)
    largest = sorted((abs(value) for value in exact.values()), reverse=True)
    assert abs(body["reasons"][0]["contribution"]) == pytest.approx(largest[0], abs=1e-6)


def test_the_weightiest_of_both_directions_are_named_and_no_more_than_four() -> None:
    reasons = fraud_reasons(COLUMNS, [1.0] * 6, np.array([0.1, -0.5, 0.3, 0.0, -0.2, 0.05, 9.0]))
    assert [(reason.feature, reason.direction) for reason in reasons] == [
        ("hour", "lowers"),
        ("login_sessions_7d", "raises"),
        ("burstiness_sessions", "lowers"),
        ("amount", "raises"),
    ]


def test_what_describes_a_person_is_never_named(monkeypatch: pytest.MonkeyPatch) -> None:
    protected = KNOWN | {"hour": replace(KNOWN["hour"], protected=True)}
    monkeypatch.setattr(fraud_reasons_module, "KNOWN", protected)
    reasons = fraud_reasons(COLUMNS, [1.0] * 6, np.array([0.1, -0.5, 0.3, 0.0, -0.2, 0.05, 9.0]))
    assert [reason.feature for reason in reasons] == ["login_sessions_7d", "burstiness_sessions", "amount", "weekday"]


def test_a_value_that_is_not_known_is_null_not_the_number_that_stands_for_it() -> None:
    reasons = fraud_reasons(COLUMNS, [float("nan"), 3.0, 0.0, 1.0, None, 2.0], np.array([0.1, 0.0, 0.3, 0.0, -0.2, 0.0, 9.0]))
    assert {reason.feature: reason.value for reason in reasons} == {
        "login_sessions_7d": None,
        "burstiness_sessions": None,
        "amount": None,
    }


def test_the_sentence_names_level_probability_and_both_directions() -> None:
    reasons = fraud_reasons(COLUMNS, [1.0] * 6, np.array([0.1, -0.5, 0.0, 0.0, 0.0, 0.0, 9.0]))
    said = sentence("medium", 0.3456, reasons)
    assert said.ru == "Риск средний (34,56 %). Повышает риск: сумма платежа, ₸. Снижает риск: час платежа."
    assert said.en == "The risk is medium (34.56%). Raising it: amount, KZT. Lowering it: hour."


def test_without_reasons_the_sentence_is_the_level_alone() -> None:
    assert sentence("low", 0.0001, []).ru == "Риск низкий (0,01 %)."


def test_a_probability_too_small_to_show_is_below_the_smallest_shown() -> None:
    assert sentence("low", 3e-5, []) == Wording(ru="Риск низкий (менее 0,01 %).", en="The risk is low (below 0.01%).")


@pytest.mark.parametrize("body", ['{"amount": -1}', "[]", "", '{"amount": NaN}'])
def test_what_is_no_payment_is_refused(client: TestClient, body: str) -> None:
    answer = client.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert set(answer.json()) == {"error"}
