"""Promises of POST /prescore."""

from collections.abc import Callable
from datetime import timedelta

import pandas as pd
import pytest
from starlette.testclient import TestClient

from bentos.prescoring.form_features import FormFeatures
from bentos.serving.backend import Backend
from clock import now
from features.sets import FEATURE_SETS
from features.tables import BANKS, FORM

FORM_EXAMPLE = {
    "birthdate": "1990-05-17 00:00:00.0000000",
    "education": "a",
    "employment_status": "b",
    "value": "c",
    "jobstartdate": "2019-02-01 00:00:00.0000000",
    "position": "a",
    "monthprofit": 350000,
    "monthexpense": 90000,
    "gender": 1,
    "family_status": "b",
    "childcount": 2,
    "snils": 1,
    "merch_code": "a",
    "loan_amount": 250000,
    "loan_term": 12,
    "goods_category": "c",
}


@pytest.fixture(scope="module")
def backend(opened: Callable[[str], Backend]) -> Backend:
    return opened("prescoring")


@pytest.fixture(scope="module")
def client(service_client: Callable[[str], TestClient]) -> TestClient:
    return service_client("prescoring")


def journalled(backend: Backend, score_id: str) -> pd.Series:
    rows = backend.journal.window("prescoring", now() - timedelta(minutes=5), now() + timedelta(minutes=5))
    return rows[rows.score_id == score_id].iloc[0]


def test_every_bank_has_a_probability_a_decision_at_its_threshold_and_reasons(backend: Backend, client: TestClient) -> None:
    answer = client.post("/prescore", json=FORM_EXAMPLE)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {*BANKS, "task_id", "offers", "reasons", "missing", "model_version", "score_id"}
    thresholds = backend.champion.model().scorer.thresholds
    for bank in BANKS:
        probability = body[bank]["probability"]
        assert 0 <= probability <= 1
        assert body[bank]["decision"] == ("approve" if probability >= thresholds[bank]["approve"] else "decline")
        assert set(body[bank]) == {"probability", "decision", "counterfactual"}
        assert len(body["reasons"][bank]) <= 4
    assert body["missing"] == []


def test_the_row_in_the_journal_says_what_the_answer_says(backend: Backend, client: TestClient) -> None:
    body = client.post("/prescore", json=FORM_EXAMPLE).json()
    row = journalled(backend, body["score_id"])
    for bank in BANKS:
        assert row[f"prediction_{bank}"] == body[bank]["probability"]
        assert row[f"decision_{bank}"] == body[bank]["decision"]
    assert row.model_version == body["model_version"]
    assert row.feature_monthprofit == 350000


def test_offers_are_those_of_approving_banks_best_first(client: TestClient) -> None:
    body = client.post("/prescore", json=FORM_EXAMPLE).json()
    values = [offer["expected_value"] for offer in body["offers"]]
    assert values == sorted(values, reverse=True)
    assert all(body[offer["bank"]]["decision"] == "approve" for offer in body["offers"])


def test_no_reason_tells_of_gender_family_children_or_age() -> None:
    protected = {column.name for column in FEATURE_SETS["prescoring"].columns if column.protected}
    assert {"age_years", "gender", "family_status", "childcount", "profit_per_household_member"} <= protected


def test_reasons_have_titles_in_both_languages(client: TestClient) -> None:
    body = client.post("/prescore", json=FORM_EXAMPLE).json()
    known = {column.name: column for column in FEATURE_SETS["prescoring"].columns}
    named = [reason for reasons in body["reasons"].values() for reason in reasons]
    assert named
    for reason in named:
        assert reason["title_ru"] == known[reason["code"]].title_ru
        assert reason["title_en"] == known[reason["code"]].title_en
        assert not known[reason["code"]].protected


def test_bare_and_wrapped_forms_get_the_same_task_id_and_the_same_stored_result(client: TestClient) -> None:
    bare, wrapped = (client.post("/prescore", json=body).json() for body in (FORM_EXAMPLE, {"features": FORM_EXAMPLE}))
    assert bare["task_id"] == wrapped["task_id"]
    assert bare == wrapped


def test_an_empty_form_is_scored_and_what_it_lacks_is_said(client: TestClient) -> None:
    answer = client.post("/prescore", json={})
    assert answer.status_code == 200
    assert answer.json()["missing"] == [column.name for column in FORM]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"birthdate": "2999-01-01"}, "birthdate"),
        ({"jobstartdate": "1989-01-01"}, "jobstartdate"),
        ({"monthprofit": -1}, "monthprofit"),
        ({"loan_amount": 1e308}, "loan_amount"),
        ({"gender": "male"}, "gender"),
        ({"snils": 2}, "snils"),
        ({"bank_a": 1}, "bank_a"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_wrong_value_is_refused_with_the_field_named(
    client: TestClient, change: dict[str, object], field: str, wrapped: bool
) -> None:
    form = FORM_EXAMPLE | change
    answer = client.post("/prescore", json={"features": form} if wrapped else form)
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == field


@pytest.mark.parametrize("text", ['{"monthprofit": NaN}', "[]", "{", "1", '{"position": "\\ud800"}', '{"features": null}'])
def test_what_is_not_a_form_is_refused(client: TestClient, text: str) -> None:
    answer = client.post("/prescore", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert set(answer.json()) == {"error"}


def test_the_features_of_a_form_are_those_of_the_feature_set() -> None:
    at = pd.Timestamp(2026, 1, 1).to_pydatetime()
    form = {column.name: None for column in FORM}
    form |= {"birthdate": pd.Timestamp(2000, 1, 1).to_pydatetime(), "monthprofit": 200.0, "monthexpense": 50.0, "childcount": 1.0}
    row = FormFeatures()(form | {"loan_amount": 1200.0, "loan_term": 12.0, "gender": 1}, at)
    assert {column.name for column in FEATURE_SETS["prescoring"].columns} <= set(row)
    assert row["age_years"] == pytest.approx(26, abs=0.01)
    assert row["free_income"] == 150
    assert row["instalment"] == 100
    assert row["instalment_to_profit"] == 0.5
    assert row["profit_per_household_member"] == 100
    assert row["gender"] == 1
    assert row["job_tenure_months"] is None
