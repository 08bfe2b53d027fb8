"""Promises of the client's card: exact contributions, a text to read out, products by the catalogue's rules."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from bentos.catalogue import CatalogueError, Segments, load_catalogue
from bentos.income.explanation import explain
from bentos.income.offerings import Offering, Offerings, Rule, offered
from bentos.income.prediction import IncomePredictor
from bentos.serving.backend import Backend
from clock import now
from features.sets import FEATURE_SETS
from settings import Settings

COLUMNS = {column.name: column for column in FEATURE_SETS["income"].columns}
UNNAMED = ("age", "spend_health_90d", "spend_spa_90d")
PROFILE = {
    "client_code": ["1", "2", "3"],
    "as_of": pd.Timestamp(2026, 1, 1),
    "name": ["Айгерим", None, "Ержан"],
    "status": ["Студент", "Зарплатный клиент", "Студент"],
    "age": [31, 45, 19],
    "city": ["Алматы", None, None],
    "avg_monthly_balance_KZT": [1_500_000.0, None, 5.0],
    "holdings": [["Карта для путешествий"], None, []],
}


@pytest.fixture(scope="module")
def backend(opened: Callable[[str], Backend], feature_rows: Callable[[str, int, int], pd.DataFrame]) -> Backend:
    backend = opened("income")
    rows = feature_rows("income", 2, 7).assign(client_code=["1", "2"], as_of=pd.Timestamp(2026, 1, 1))
    rows.loc[0, ["spend_travel_90d", "spend_total_90d"]] = (90_000.0, 400_000.0)
    backend.online.write("income", rows)
    backend.online.write("profile", pd.DataFrame(PROFILE))
    return backend


@pytest.fixture(scope="module")
def client(backend: Backend, service_client: Callable[[str], TestClient]) -> TestClient:
    return service_client("income")


def card(client: TestClient, code: str = "1") -> dict:
    answer = client.get(f"/api/clients/{code}/card")
    assert answer.status_code == 200
    return answer.json()


def journalled(backend: Backend, score_id: str) -> pd.Series:
    rows = backend.journal.window("income", now() - timedelta(minutes=5), now() + timedelta(minutes=5))
    return rows[rows.score_id == score_id].iloc[0]


def test_the_card_says_who_what_why_and_what_to_offer_and_is_journalled(backend: Backend, client: TestClient) -> None:
    body = card(client)
    assert set(body) == {"client", "prediction", "explanation", "products"}
    assert body["client"] == {
        "client_id": "1",
        "name": "Айгерим",
        "status": "Студент",
        "age": 31,
        "city": "Алматы",
        "average_balance": 1_500_000.0,
        "holdings": ["Карта для путешествий"],
    }
    row = journalled(backend, body["prediction"]["score_id"])
    assert (row.source, row.client_id, row.is_simulation) == ("card", "1", False)
    assert row.prediction_income == body["prediction"]["income_pred"] == body["explanation"]["prediction"]


@pytest.mark.parametrize("code", ["1", "2"])
def test_baseline_and_contributions_add_up_to_the_prediction_in_model_space(client: TestClient, code: str) -> None:
    explanation = card(client, code)["explanation"]
    space = explanation["model_space"]
    assert space["unit"] == "ln(tenge a month)"
    listed = sum(feature["shap_value"] for feature in explanation["top_features"])
    assert abs(space["baseline"] + listed + space["others"] - space["prediction"]) < 1e-6
    assert np.exp(space["prediction"]) == pytest.approx(explanation["prediction"], abs=0.005)
    assert np.exp(space["baseline"]) == pytest.approx(explanation["baseline_income"], abs=0.005)


def test_contributions_are_those_of_the_model(backend: Backend, client: TestClient) -> None:
    online = backend.online.get("income", "1")
    assert online is not None
    scorer = backend.champion.model().scorer
    exact = dict(zip(scorer.columns, scorer.contributions(pd.DataFrame([online.values]), "income")[0], strict=False))
    features = card(client)["explanation"]["top_features"]
    assert features
    for feature in features:
        assert feature["shap_value"] == pytest.approx(exact[feature["feature"]], abs=1e-12)
        assert feature["value"] == online.values[feature["feature"]]
        assert feature["title"] == COLUMNS[feature["feature"]].title_ru
        assert feature["title_en"] == COLUMNS[feature["feature"]].title_en
    weights = [abs(feature["shap_value"]) for feature in features]
    assert weights == sorted(weights, reverse=True)
    unlisted = [name for name in exact if name not in {feature["feature"] for feature in features}]
    assert max(abs(exact[name]) for name in unlisted if name not in UNNAMED) <= weights[-1]


@pytest.mark.parametrize("unnamed", UNNAMED)
def test_who_a_person_is_and_how_healthy_is_never_named_even_where_it_weighs_most(backend: Backend, unnamed: str) -> None:
    scored = IncomePredictor(backend).client("1", "card")
    heaviest = explain(scored).top_features[0].feature
    swap = {heaviest: unnamed, unnamed: heaviest}
    scorer = scored.model.scorer
    columns = tuple(replace(column, name=swap.get(column.name, column.name)) for column in scorer.columns_)
    swapped = replace(
        scored,
        model=replace(scored.model, scorer=replace(scorer, columns_=columns)),
        frame=scored.frame.rename(columns=swap),
        row={swap.get(name, name): value for name, value in scored.row.items()},
    )
    explanation = explain(swapped)
    assert unnamed not in {feature.feature for feature in explanation.top_features}
    assert COLUMNS[unnamed].title_ru.split(",")[0].lower() not in explanation.text.lower()
    space = explanation.model_space
    listed = sum(feature.shap_value for feature in explanation.top_features)
    assert abs(space.baseline + listed + space.others - space.prediction) < 1e-6


def test_units_of_features_are_not_read_out(backend: Backend) -> None:
    scored = IncomePredictor(backend).client("1", "card")
    heaviest, irregular = explain(scored).top_features[0].feature, "salary_gap_std_90d"
    swap = {heaviest: irregular, irregular: heaviest}
    scorer = scored.model.scorer
    columns = tuple(replace(column, name=swap.get(column.name, column.name)) for column in scorer.columns_)
    said = explain(
        replace(
            scored,
            model=replace(scored.model, scorer=replace(scorer, columns_=columns)),
            frame=scored.frame.rename(columns=swap),
            row={swap.get(name, name): value for name, value in scored.row.items()},
        )
    )
    assert "нерегулярность зарплаты (" in said.text
    assert "irregularity of the salary (" in said.text_en


def test_the_text_names_the_weightiest_features_and_their_direction_in_both_languages(client: TestClient) -> None:
    explanation = card(client)["explanation"]
    for text, title, raising, lowering in (
        (explanation["text"], "title", "Повыша[ею]т оценку", "Понижа[ею]т"),
        (explanation["text_en"], "title_en", "Raising it", "Lowering it"),
    ):
        first = explanation["top_features"][0]
        said = re.split(f"{raising if first['shap_value'] > 0 else lowering}: ", text)[1]
        assert said.lower().startswith(first[title].split(",")[0].lower())
        assert text.endswith(".")
        assert "nan" not in text.lower()


@pytest.mark.parametrize("most", [1, 3])
def test_the_verb_agrees_with_how_many_features_raise_or_lower(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("bentos.income.explanation._SPOKEN", most)
    text = explain(IncomePredictor(backend).client("1", "card")).text
    said = re.findall(r"(?:Повыша|Понижа)([ею])т(?: оценку)?: ([^.]+)\.", text)
    assert said
    assert all((ending == "е") == ("; " not in named) for ending, named in said)
    assert not re.search(r"\d (?:\d|₸)", text), "no line breaks within an amount"


def test_shares_in_a_reason_are_written_as_each_language_does() -> None:
    entry = load_catalogue(Offerings, Settings().catalogues).offering[0].model_dump()
    rules = ({"feature": "debt_to_inflow_90d", "operator": "le", "value": 0.2},)
    text = {"rules": rules, "segments": ("low",), "reason": "{debt_to_inflow_90d}", "reason_en": "{debt_to_inflow_90d}"}
    low = load_catalogue(Segments, Settings().catalogues).segment[0]
    (product,) = offered(Offerings.model_validate({"offering": [entry | text]}), low, 1.0, {"debt_to_inflow_90d": 0.15}, ())
    assert (product.reason, product.reason_en) == ("0,15", "0.15")


def test_a_product_is_offered_by_its_rules_and_not_when_the_client_holds_it(client: TestClient) -> None:
    products = client.get("/api/clients/1/offers").json()
    assert products == card(client)["products"]
    codes = [product["code"] for product in products]
    assert "top3_card" in codes
    assert "travel_card" not in codes, "it holds one"
    (top3,) = [product for product in products if product["code"] == "top3_card"]
    assert set(top3) >= {"code", "name", "description", "reason"}
    assert "400\u00a0000" in top3["reason"]


@pytest.mark.parametrize("page", ["card", "offers"])
def test_an_unknown_client_is_404_and_one_without_features_409(client: TestClient, page: str) -> None:
    for code, status in (("nobody", 404), ("3", 409)):
        answer = client.get(f"/api/clients/{code}/{page}")
        assert (answer.status_code, answer.json()["error"]["field"]) == (status, "id")
    assert "ingest" in client.get(f"/api/clients/3/{page}").json()["error"]["message"]


def test_a_simulation_replaces_features_and_is_marked_in_the_journal(backend: Backend, client: TestClient) -> None:
    answer = client.post("/api/simulate", json={"external_id": "1", "features_override": {"spend_total_90d": 123.5}})
    assert answer.status_code == 200
    assert set(answer.json()) == set(card(client)["prediction"])
    row = journalled(backend, answer.json()["score_id"])
    assert (row.is_simulation, row.client_id, row.feature_spend_total_90d) == (True, "1", 123.5)
    assert row.feature_spend_travel_90d == 90_000
    alone = client.post("/api/simulate", json={"features_override": {"spend_total_90d": 5}})
    assert journalled(backend, alone.json()["score_id"]).is_simulation


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"external_id": "1"}, 422, "features_override"),
        ({"features_override": {}}, 422, "body"),
        ({"external_id": "nobody", "features_override": {}}, 404, "external_id"),
        ({"external_id": "3", "features_override": {}}, 409, "external_id"),
        ({"features_override": {"shoe_size": 1}}, 422, "features_override.shoe_size"),
        ({"features_override": {"spend_total_90d": "much"}}, 422, "features_override.spend_total_90d"),
        ({"client_id": "1", "features_override": {}}, 422, "client_id"),
    ],
)
def test_a_wrong_simulation_is_refused_with_the_field_named(client: TestClient, body: dict, status: int, field: str) -> None:
    answer = client.post("/api/simulate", json=body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (status, field)


@pytest.mark.parametrize(
    ("operator", "value", "met"),
    [
        ("eq", 10.0, (False, True, False)),
        ("ne", 10.0, (True, False, True)),
        ("lt", 10.0, (True, False, False)),
        ("le", 10.0, (True, True, False)),
        ("gt", 10.0, (False, False, True)),
        ("ge", 10.0, (False, True, True)),
    ],
)
def test_each_operator_compares_as_it_is_called_and_a_missing_value_meets_none(operator: str, value: float, met: tuple) -> None:
    rule = Rule.model_validate({"feature": "spend_total_90d", "operator": operator, "value": value})
    assert tuple(rule.met({"spend_total_90d": given}) for given in (9.0, 10.0, 11.0)) == met
    assert not rule.met({"spend_total_90d": None})
    assert not rule.met({})


def test_a_product_suits_its_segments_and_incomes_only() -> None:
    entry = load_catalogue(Offerings, Settings().catalogues).offering[0].model_dump()
    entry |= {
        "segments": ("high",),
        "least_income": 600_000,
        "largest_income": 800_000,
        "rules": (),
        "reason": "-",
        "reason_en": "-",
    }
    product = Offering.model_validate(entry)
    assert product.suits("high", 600_000, {})
    assert product.suits("high", 800_000, {})
    assert not product.suits("premium", 700_000, {})
    assert not product.suits("high", 599_999, {})
    assert not product.suits("high", 800_001, {})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('feature = "spend_travel_90d"', 'feature = "spend_yachts_90d"', "no feature spend_yachts_90d"),
        ('operator = "gt"', 'operator = "above"', "operator"),
        ("value = 0.2 ", 'value = "little" ', "compared with a number"),
        ('operator = "ne", value = "Премиальный клиент"', 'operator = "lt", value = "Премиальный клиент"', "only eq and ne"),
        ("{spend_total_90d} ₸.", "{shoe_size} ₸.", "placeholders"),
        ("{income} ₸ в месяц позволяет", "{income.__class__} ₸ в месяц позволяет", "placeholders"),
        ('code = "mortgage"', 'code = "cash_loan"', "twice"),
        ('segments = ["low", "middle"]', 'segments = ["poor"]', "segments"),
        ("least_income = 150_000", "last_income = 150_000", "last_income"),
    ],
)
def test_a_mistake_in_the_catalogue_is_named_at_load(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = (Settings().catalogues / "offerings.toml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "offerings.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CatalogueError, match=said):
        load_catalogue(Offerings, tmp_path)
