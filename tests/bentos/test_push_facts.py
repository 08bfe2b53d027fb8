"""What is observed of a client: the right month, the right categories, and nothing that contradicts the benefit."""

from datetime import UTC, date, datetime

import ibis
import pandas as pd
import pytest

from bentos.catalogue import Products, load_catalogue
from bentos.push.facts import observed
from bentos.push.writing import Observation
from bentos.tariffs import Facts
from features.categories import CATEGORIES
from features.last_month import last_month
from features.tables import TABLES
from settings import PROJECT

TARIFFS = {product.name: product.tariff for product in load_catalogue(Products, PROJECT / "catalogues").product}


def facts(spending: dict[str, float] | None = None, **figures: float) -> Facts:
    return Facts(spending or {}, **{name: figures.get(name, 0.0) for name in FIGURES})


FIGURES = ("balance", "income", "payments", "outflow", "exchanged", "transferred")


def month_of(**amounts: float) -> dict[str, object]:
    spent = {f"month_spend_{slug}": 0.0 for slug in CATEGORIES.values()} | {"month_fx": 0.0, "month_p2p": 0.0}
    return {"month": "2025-12"} | spent | {f"month_{name}": amount for name, amount in amounts.items()}


def seen(product: str, known: Facts, month: dict[str, object] | None = None) -> Observation:
    tariff = TARIFFS[product]
    return observed(tariff, tariff.benefit(known), known, month)


def purchases(*rows: tuple[str, str, float, str, str]) -> ibis.Table:
    frame = pd.DataFrame(rows, columns=["date", "category", "amount", "currency", "client_code"])
    frame = frame.assign(date=pd.to_datetime(frame["date"]), merchant=None, transaction_id=None)
    return ibis.memtable(frame, schema=TABLES["transactions"].schema)


def test_the_last_month_is_the_newest_full_one_in_tenge() -> None:
    spent = purchases(
        ("2025-11-30 23:59:59", "Такси", 1, "KZT", "1"),
        ("2025-12-01 00:00:00", "Такси", 10, "KZT", "1"),
        ("2025-12-31 23:59:59", "Такси", 2, "USD", "1"),
        ("2026-01-01 00:00:00", "Такси", 1000, "KZT", "1"),
        ("2025-12-15 12:00:00", "Кино", 5, "KZT", "2"),
        ("2026-01-05 12:00:00", "Кино", 5, "KZT", "3"),
    )
    for as_of in (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 20, tzinfo=UTC)):
        rows = last_month({"transactions": spent}, as_of).to_pandas().set_index("client_code")
        assert set(rows.index) == {"1", "2"}
        assert set(rows["month"]) == {"2025-12"}
        assert rows.loc["1", "month_spend_taxi"] == 10 + 2 * 520
        assert rows.loc["2", "month_spend_cinema"] == 5
        assert rows.loc["2", "month_p2p"] == rows.loc["2", "month_fx"] == 0


def test_transfers_count_by_what_they_are() -> None:
    frame = pd.DataFrame(
        {
            "date": pd.Timestamp(2025, 12, 5),
            "type": ["p2p_out", "fx_buy", "fx_sell", "card_out"],
            "direction": "out",
            "amount": [100.0, 20.0, 3.0, 7.0],
            "currency": "KZT",
            "client_code": "1",
        }
    )
    tables = {"transfers": ibis.memtable(frame, schema=TABLES["transfers"].schema)}
    (row,) = last_month(tables, datetime(2026, 1, 1, tzinfo=UTC)).to_pandas().to_dict("records")
    assert (row["month_p2p"], row["month_fx"]) == (100, 23)


def test_the_rewarded_categories_that_a_client_buys_are_named_the_largest_first() -> None:
    known = facts({"Такси": 30_000, "Отели": 50_000, "Продукты питания": 90_000, "Путешествия": 0})
    found = seen("Карта для путешествий", known, month_of(spend_taxi=30_000, spend_hotels=45_000, spend_groceries=1))
    assert found == Observation(240_000, date(2025, 12, 1), 75_000, None, ("Отели", "Такси"), 0.04)
    assert seen("Карта с кэшбэком на топ-3 категории", known).categories == ("Продукты питания", "Отели", "Такси")


@pytest.mark.parametrize(
    ("in_month", "said"), [(99_000, True), (91_000, True), (109_000, True), (89_000, False), (111_000, False), (0, False)]
)
def test_a_month_far_from_the_mean_is_not_spoken_of(in_month: float, said: bool) -> None:
    found = seen("Мультивалютный счет", facts(exchanged=100_000), month_of(fx=in_month))
    assert found.amount == 300_000
    assert found.month_amount == (in_month if said else None)


def test_a_month_without_one_of_the_named_categories_is_not_spoken_of() -> None:
    known = facts({"Такси": 30_000, "Отели": 50_000})
    assert seen("Карта для путешествий", known, month_of(spend_taxi=80_000)).month_amount is None


def test_a_rate_is_not_spoken_of_where_the_cap_cuts_the_benefit() -> None:
    assert seen("Карта с кэшбэком на топ-3 категории", facts({"Такси": 150_000})).rate == 0.10
    assert seen("Карта с кэшбэком на топ-3 категории", facts({"Такси": 150_001})).rate is None


def test_without_a_row_of_the_month_the_quarter_speaks() -> None:
    found = seen("Карта с бесплатными переводами", facts(transferred=20_000))
    assert (found.amount, found.month, found.month_amount) == (60_000, None, None)


def test_means_are_rounded_and_sums_are_exact() -> None:
    assert seen("Депозит Сберегательный", facts(balance=1_234_567, outflow=1_000)).amount == 1_230_000
    assert seen("Ипотека", facts(income=512_345, payments=51_234)).amount == 512_000
    assert seen("Карта с кэшбэком на все", facts({"Такси": 12_345})).amount == pytest.approx(37_035)
