"""Every formula of the product catalogue, against figures worked out by hand."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.catalogue import Product, Products, load_catalogue
from bentos.push.grammar import amount_text, share_text
from bentos.tariffs import (
    Cashback,
    Credit,
    Deposit,
    Facts,
    Fees,
    Spread,
    Tier,
    TieredCashback,
    TopCashback,
    instalment,
)
from features.categories import CATEGORIES
from settings import PROJECT

NOTHING = Facts({}, balance=0, income=0, payments=0, outflow=0, exchanged=0, transferred=0)


def spending(**amounts: float) -> Facts:
    names = {slug: name for name, slug in CATEGORIES.items()}
    return Facts({names[slug]: amount for slug, amount in amounts.items()}, 0, 0, 0, 0, 0, 0)


def product(name: str) -> object:
    products = load_catalogue(Products, PROJECT / "catalogues").product
    return next(product.tariff for product in products if product.name == name)


def test_the_travel_card_returns_four_percent_of_travel_taxi_and_hotels() -> None:
    facts = spending(travel=100_000, taxi=20_000, hotels=30_000, groceries=500_000)
    benefit = product("Карта для путешествий").benefit(facts)
    assert benefit.tenge == pytest.approx(0.04 * 150_000 * 12)
    assert benefit.fact == 150_000


def test_cashback_without_categories_counts_every_purchase_and_stops_at_the_cap() -> None:
    tariff = Cashback(kind="cashback", rate=0.01, monthly_cap=1_500)
    assert tariff.benefit(spending(taxi=40_000, pets=60_000)).tenge == pytest.approx(12_000)
    assert tariff.benefit(spending(taxi=400_000)).tenge == pytest.approx(18_000)


def test_the_gamers_card_looks_at_games_films_and_cinema() -> None:
    facts = spending(play_at_home=10_000, watch_at_home=5_000, cinema=3_000, books=9_000)
    assert product("Карта для геймеров").benefit(facts).tenge == pytest.approx(0.10 * 18_000 * 12)


def test_top_cashback_takes_the_three_largest_categories() -> None:
    tariff = TopCashback(kind="top_cashback", rate=0.1, count=3, monthly_cap=10_000)
    facts = spending(groceries=40_000, taxi=10_000, pets=30_000, books=20_000)
    assert tariff.benefit(facts).fact == 90_000
    assert tariff.benefit(facts).tenge == pytest.approx(9_000 * 12)
    assert tariff.benefit(spending(groceries=400_000)).tenge == pytest.approx(10_000 * 12)


@pytest.mark.parametrize(
    ("balance", "rate"), [(-5_000, 0.02), (0, 0.02), (999_999, 0.02), (1_000_000, 0.03), (5_999_999, 0.03), (6_000_000, 0.04)]
)
def test_the_premium_card_returns_two_three_or_four_percent_by_balance_plus_four_on_its_categories(
    balance: float, rate: float
) -> None:
    names = {slug: name for name, slug in CATEGORIES.items()}
    facts = Facts({names["groceries"]: 200_000, names["jewellery"]: 50_000}, balance, 0, 0, 0, 0, 0)
    assert product("Премиальная карта").benefit(facts).tenge == pytest.approx(12 * (rate * 250_000 + 0.04 * 50_000))


def test_the_premium_card_returns_at_most_a_hundred_thousand_a_month() -> None:
    assert product("Премиальная карта").benefit(spending(groceries=90_000_000)).tenge == 1_200_000


def test_a_benefit_says_when_the_cap_cuts_it() -> None:
    tariff = Cashback(kind="cashback", rate=0.01, monthly_cap=1_500)
    assert not tariff.benefit(spending(taxi=150_000)).capped
    assert tariff.benefit(spending(taxi=150_001)).capped
    assert TopCashback(kind="top_cashback", rate=0.1, count=1, monthly_cap=100).benefit(spending(taxi=1_001)).capped
    assert Fees(kind="fees", fee=0.5, monthly_cap=10).benefit(Facts({}, 0, 0, 0, 0, 0, transferred=21)).capped


def test_tiers_have_to_begin_at_zero_and_rise() -> None:
    for starts in ((1.0,), (0.0, 5.0, 2.0), (0.0, 0.0)):
        with pytest.raises(ValueError, match="tiers"):
            TieredCashback(
                kind="tiered_cashback",
                tiers=tuple(Tier(from_balance=start, rate=0.01) for start in starts),
                categories=(),
                extra_rate=0.01,
                monthly_cap=1,
            )


def test_the_deposit_pays_interest_on_the_balance_that_a_month_does_not_touch() -> None:
    tariff = product("Депозит Сберегательный")
    assert isinstance(tariff, Deposit)
    assert tariff.benefit(Facts({}, 1_000_000, 0, 0, 200_000, 0, 0)).tenge == pytest.approx(132_000)
    assert tariff.benefit(Facts({}, 100_000, 0, 0, 200_000, 0, 0)).tenge == 0


def test_spread_and_fees_are_shares_of_a_months_volume_twelve_times() -> None:
    facts = Facts({}, 0, 0, 0, 0, exchanged=300_000, transferred=80_000)
    assert Spread(kind="spread", saved=0.01).benefit(facts).tenge == pytest.approx(36_000)
    assert Fees(kind="fees", fee=0.005, monthly_cap=10_000).benefit(facts).tenge == pytest.approx(4_800)
    assert Fees(kind="fees", fee=0.5, monthly_cap=10_000).benefit(facts).tenge == pytest.approx(120_000)


CREDIT = Credit(
    kind="credit",
    rate_yearly=0.12,
    market_rate_yearly=0.24,
    term=12,
    least_amount=100_000,
    largest_amount=1_000_000,
    payment_share=0.5,
)


def test_instalments_repay_the_loan() -> None:
    assert instalment(100_000, 0.12, 12) == pytest.approx(8_884.88, abs=0.01)  # the textbook's annuity
    assert instalment(1_200, 0, 12) == 100


def test_credit_lends_what_half_of_income_can_repay() -> None:
    free = 0.5 * 100_000 - 20_000
    benefit = CREDIT.benefit(Facts({}, 0, income=100_000, payments=20_000, outflow=0, exchanged=0, transferred=0))
    assert benefit.fact == pytest.approx(free / 0.0888488, rel=1e-5)
    assert benefit.tenge == pytest.approx(12 * (instalment(benefit.fact, 0.24, 12) - free))


def test_credit_is_worth_nothing_where_cash_flow_does_not_carry_it() -> None:
    assert CREDIT.benefit(Facts({}, 0, 100_000, 60_000, 0, 0, 0)).tenge == 0
    assert CREDIT.benefit(Facts({}, 0, 10_000, 0, 0, 0, 0)).tenge == 0


money = st.floats(0, 1e9)


@given(st.dictionaries(st.sampled_from(list(CATEGORIES)), money), st.floats(-1e9, 1e9), st.tuples(*[money] * 5))
def test_every_product_has_a_finite_benefit_that_is_not_negative(
    spent: dict[str, float], balance: float, amounts: tuple[float, ...]
) -> None:
    for item in PRODUCTS.product:
        benefit = item.tariff.benefit(Facts(spent, balance, *amounts))
        assert 0 <= benefit.tenge < 1e12
        assert item.tariff.benefit(NOTHING).tenge == 0


PRODUCTS = load_catalogue(Products, PROJECT / "catalogues")


@pytest.mark.parametrize("item", PRODUCTS.product, ids=lambda item: item.name)
def test_a_reason_that_says_a_rate_says_it_as_the_tariff_does_and_with_its_cap(item: Product) -> None:
    tariff = item.tariff.model_dump()
    rates = {share_text(tariff[name]) for name in ("rate", "rate_yearly") if name in tariff}
    said = set(re.findall(r"[\d,]+ %", item.reason))
    assert said <= rates
    if said and "monthly_cap" in tariff:
        assert f"(не больше {amount_text(tariff['monthly_cap'])} в месяц)" in item.reason
