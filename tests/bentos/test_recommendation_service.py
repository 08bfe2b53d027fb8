"""Promises of GET /recommendations/{client_code}."""

import re
from collections.abc import Callable
from datetime import timedelta

import pandas as pd
import pytest
from starlette.testclient import TestClient

from bentos.push.grammar import amount_text
from bentos.recommendation.facts import facts_of
from bentos.serving.backend import Backend
from clock import now
from features.code_lists import PRODUCTS

MOMENT = pd.Timestamp(2026, 1, 1)
PROFILE = {
    "as_of": MOMENT,
    "name": "Айгерим",
    "status": "Премиальный клиент",
    "age": 30,
    "city": "Алматы",
    "avg_monthly_balance_KZT": 2_000_000.0,
}
AMOUNTS = {
    "share_travel_90d": 0.1,
    "share_play_at_home_90d": 0.1,
    "share_jewellery_90d": 0.1,
    "share_groceries_90d": 0.7,
    "spend_total_90d": 3_000_000.0,
    "outflow_90d": 300_000.0,
    "savings_90d": 0.0,
    "salary_in_90d": 1_500_000.0,
    "fx_volume_90d": 300_000.0,
    "p2p_out_90d": 300_000.0,
}


@pytest.fixture(scope="module")
def backend(opened: Callable[[str], Backend], feature_rows: Callable[[str, int, int], pd.DataFrame]) -> Backend:
    backend = opened("recommendation")
    rows = feature_rows("recommendation", 4, 7).drop(columns=["product", "product_affinity"])
    rows = rows.assign(**{name: 0.0 for name in rows if name.startswith(("share_", "holds_"))} | AMOUNTS)
    rows["debt_payments_90d"] = [0.0, 900_000.0, 0.0, 0.0]
    rows.loc[2, ["holds_travel_card", "holds_deposit"]] = 1.0
    backend.online.write("recommendation", rows.assign(client_code=["1", "2", "3", "4"], as_of=MOMENT))
    people = [PROFILE | {"client_code": code} for code in ("1", "2", "3", "4", "no features")]
    people[3]["age"] = 16
    backend.online.write("profile", pd.DataFrame(people))
    return backend


@pytest.fixture(scope="module")
def client(backend: Backend, service_client: Callable[[str], TestClient]) -> TestClient:
    return service_client("recommendation")


def recommended(client: TestClient, code: str) -> list[dict[str, object]]:
    answer = client.get(f"/recommendations/{code}")
    assert answer.status_code == 200
    return answer.json()


def journalled(backend: Backend, code: str) -> pd.DataFrame:
    rows = backend.journal.window("recommendation", now() - timedelta(minutes=5), now() + timedelta(minutes=5))
    return rows[rows.client_id == code]


def test_the_top_four_are_ranked_by_benefit_times_propensity(client: TestClient) -> None:
    items = recommended(client, "1")
    assert [item["rank"] for item in items] == [1, 2, 3, 4]
    values = [item["expected_benefit"] * item["propensity"] for item in items]
    assert values == sorted(values, reverse=True)
    assert {item["product"] for item in items} <= set(PRODUCTS)
    for item in items:
        assert set(item) == {"product", "expected_benefit", "propensity", "rank", "reason", "model_version", "score_id"}


def test_every_scored_product_is_a_row_of_the_journal_and_equals_the_answer(backend: Backend, client: TestClient) -> None:
    before = len(journalled(backend, "1"))
    items = recommended(client, "1")
    rows = journalled(backend, "1")
    assert len(rows) - before >= len(items)
    by_id = rows.set_index("score_id")
    for item in items:
        row = by_id.loc[item["score_id"]]
        assert row.prediction_accepted == item["propensity"]
        assert row.feature_product == item["product"]
        assert row.decision_accepted == "recommended"
        assert row.model_version == item["model_version"]
    assert (rows[~rows.score_id.isin([item["score_id"] for item in items])].tail(1).decision_accepted != "").all()


def test_held_products_never_appear(backend: Backend, client: TestClient) -> None:
    recommended(client, "3")
    scored = set(journalled(backend, "3").feature_product)
    assert scored
    assert not scored & {"Карта для путешествий", "Депозит Сберегательный"}


def test_loans_are_not_even_scored_where_payments_exceed_half_of_income_or_for_minors(
    backend: Backend, client: TestClient
) -> None:
    for code in ("1", "2", "4"):
        recommended(client, code)
    loans = {"Кредит наличными", "Ипотека"}
    assert loans & set(journalled(backend, "1").feature_product)
    assert not loans & set(journalled(backend, "2").feature_product)
    assert not loans & set(journalled(backend, "4").feature_product)


def test_benefits_are_those_of_the_tariff_on_the_clients_own_figures(client: TestClient) -> None:
    benefits = {item["product"]: item["expected_benefit"] for item in recommended(client, "1")}
    by_hand = {
        "Карта для путешествий": 12 * 0.04 * 100_000,
        "Депозит Сберегательный": 0.165 * (2_000_000 - 1_100_000),
        "Мультивалютный счет": 12 * 0.01 * 100_000,
        "Карта с бесплатными переводами": 12 * 0.005 * 100_000,
        "Карта для геймеров": 12 * 0.10 * 100_000,
        "Карта с кэшбэком на топ-3 категории": 12 * 15_000,
        "Карта с кэшбэком на все": 12 * 0.015 * 1_000_000,
        "Премиальная карта": 12 * (0.03 * 1_000_000 + 0.04 * 100_000),
    }
    for product, benefit in benefits.items():
        if product in by_hand:
            assert benefit == pytest.approx(by_hand[product])


def test_the_reason_is_russian_and_names_the_benefit(client: TestClient) -> None:
    for item in recommended(client, "1"):
        assert re.search("[а-я]", str(item["reason"]))
        assert amount_text(float(str(item["expected_benefit"]))) in str(item["reason"])
        assert "{" not in str(item["reason"])


def test_an_unknown_client_is_404_and_one_without_features_409(client: TestClient) -> None:
    for code, status in (("nobody", 404), ("no features", 409)):
        answer = client.get(f"/recommendations/{code}")
        assert answer.status_code == status
        assert set(answer.json()) == {"error"}
        assert code not in answer.json()["error"]["message"]


@pytest.mark.parametrize("code", ["a%00b", "x" * 65, "%20", "%ff%fe", "a%0Ab"])
def test_absurd_codes_are_refused(client: TestClient, code: str) -> None:
    answer = client.get(f"/recommendations/{code}")
    assert 400 <= answer.status_code < 500
    assert set(answer.json()) == {"error"}


def test_metrics_hold_no_client_code(client: TestClient) -> None:
    recommended(client, "1")
    text = client.get("/metrics").text
    assert 'endpoint="/recommendations/{client_code}"' in text
    assert "/recommendations/1" not in text


def test_missing_values_count_as_nothing() -> None:
    facts = facts_of({"avg_monthly_balance_KZT": None}, {"share_taxi_90d": None, "salary_in_90d": 300.0})
    assert facts.income == 100
    assert facts.balance == facts.payments == sum(facts.spending.values()) == 0
