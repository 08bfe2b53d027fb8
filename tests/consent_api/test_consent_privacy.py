"""Promises of the mechanism: bounded before it is summed, noised as stated, paid as declared."""

import math
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ibis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent_api import privacy
from consent_api.catalogue import Report, load_catalogue
from consent_api.contributions import Bounds, Exact, contributions, exact_sums, pseudonymous
from consent_api.periods import NotAPeriod, Period
from consent_api.privacy import PrivacyNotKept
from features.tables import CATEGORIES

CATALOGUES = Path(__file__).parents[2] / "catalogues"
OCTOBER = Period(2026, 10)
BOUNDS = Bounds(most_categories=3, largest_spending=100_000)
NAMES = list(CATEGORIES)


@pytest.fixture(scope="module")
def sums(purchases) -> Callable[..., Exact]:
    """Exact sums of (client, moment, category, tenge) rows over some clients."""

    def added(rows: list[tuple[str, str, str, float]], clients: list[str], bounds: Bounds = BOUNDS) -> Exact:
        source = purchases(rows)
        table = contributions(source.transactions, pseudonymous(clients), OCTOBER, bounds, source.rates)
        return exact_sums(source.engine, table, bounds)

    return added


def keeps_bounds(with_client: Exact, without: Exact, bounds: Bounds) -> bool:
    """Whether one client's coming or going moved the sums by no more than was declared to the mechanism."""
    spending = [a - b for a, b in zip(with_client.spending, without.spending, strict=True)]
    clients = [a - b for a, b in zip(with_client.clients, without.clients, strict=True)]
    moved = sum(value**2 for value in clients) + (with_client.everyone - without.everyone) ** 2
    return sum(value**2 for value in spending) <= bounds.spending_squared and moved <= bounds.clients_squared


CROWD = [(str(number), "2026-10-05", NAMES[number % 24], 250.0) for number in range(60)]
WHALE = [("whale", f"2026-10-{1 + number % 28:02d}", NAMES[number % 24], 9_999_999.0) for number in range(10_000)]


def test_p01_a_client_with_ten_thousand_payments_moves_the_sums_by_the_bound_at_most(sums) -> None:
    crowd = [client for client, *_ in CROWD]
    without = sums(CROWD, crowd)
    assert keeps_bounds(sums(CROWD + WHALE, [*crowd, "whale"]), without, BOUNDS)


@pytest.mark.parametrize(
    "loosened",
    [replace(BOUNDS, largest_spending=10**12), replace(BOUNDS, most_categories=24)],
    ids=["no clamp", "no category bound"],
)
def test_p01_the_check_sees_a_missing_clamp_and_a_missing_bound(sums, loosened: Bounds) -> None:
    crowd = [client for client, *_ in CROWD]
    broken = sums(CROWD + WHALE, [*crowd, "whale"], loosened)
    assert not keeps_bounds(broken, sums(CROWD, crowd, loosened), BOUNDS)


amounts = st.floats(0.01, 1e9, allow_nan=False)
one_client = st.lists(
    st.tuples(st.just("x"), st.sampled_from(["2026-10-01", "2026-10-31 23:59:59"]), st.sampled_from(NAMES[:6]), amounts),
    max_size=30,
)


@settings(max_examples=15, deadline=None)
@given(one_client)
def test_p01_no_client_exceeds_the_bounds(sums, rows) -> None:
    crowd = [client for client, *_ in CROWD]
    assert keeps_bounds(sums(CROWD + rows, [*crowd, "x"]), sums(CROWD, crowd), BOUNDS)


def test_sums_beyond_what_the_bounds_allow_are_never_released(purchases) -> None:
    source = purchases(CROWD)
    table = contributions(source.transactions, pseudonymous(["1", "2"]), OCTOBER, BOUNDS, source.rates)
    with pytest.raises(PrivacyNotKept):
        exact_sums(source.engine, table.mutate(spending=table.spending * 1000), BOUNDS)


def test_only_the_cohort_and_only_the_month_are_counted(sums) -> None:
    rows = [
        ("1", "2026-09-30 23:59:59", NAMES[0], 10.0),
        ("1", "2026-10-01 00:00:00", NAMES[0], 20.0),
        ("1", "2026-10-31 23:59:59", NAMES[1], 30.25),
        ("1", "2026-11-01 00:00:00", NAMES[0], 40.0),
        ("2", "2026-10-10 00:00:00", NAMES[0], 50.0),
    ]
    exact = sums(rows, ["1"])
    assert (exact.spending[:2], exact.clients[:2], exact.everyone) == ([2000, 3025], [1, 1], 1)
    assert sums(rows, []) == Exact([0] * 24, [0] * 24, 0)


def test_foreign_purchases_are_counted_in_tenge(purchases) -> None:
    source = purchases([("1", "2026-10-02", NAMES[0], 1.5)])
    dollars = source.transactions.mutate(currency=ibis.literal("USD"))
    rows = contributions(dollars, pseudonymous(["1"]), OCTOBER, BOUNDS, source.rates)
    assert exact_sums(source.engine, rows, BOUNDS).spending[0] == 78_000


def test_p24_the_same_client_has_unlinkable_pseudonyms_in_any_two_releases() -> None:
    first, second = (set(pseudonymous(["1", "2"]).pseudonym.to_pandas()) for _ in range(2))
    assert len(first | second) == 4


def test_which_categories_are_kept_does_not_depend_on_their_size(sums) -> None:
    """Of 24 categories 3 are kept; the one with the largest sum is kept about as often as any other."""
    crowd = [str(number) for number in range(400)]
    rows = [
        (client, "2026-10-05", name, 500.0 if index == 0 else 10.0) for client in crowd for index, name in enumerate(CATEGORIES)
    ]
    kept = sums(rows, crowd).clients
    assert sum(kept) == 3 * len(crowd)
    assert abs(kept[0] - 50) < 5 * math.sqrt(50)


def test_p01_the_noise_has_the_stated_deviation() -> None:
    noised = [privacy.noised([0] * 24, BOUNDS.spending_squared, 0.075) for _ in range(200)]
    values = [value for each in noised for value in each.values]
    stated = noised[0].standard_deviation
    assert statistics.pstdev(values) == pytest.approx(stated, rel=0.06)
    assert abs(statistics.fmean(values)) < 5 * stated / math.sqrt(len(values))
    assert stated == pytest.approx(math.sqrt(BOUNDS.spending_squared / (2 * 0.075)))


@given(st.integers(1, 24), st.integers(1, 10**11), st.floats(1e-4, 10))
def test_p01_what_opendp_says_is_spent_is_never_more_than_was_meant(categories: int, largest: int, rho: float) -> None:
    bounds = Bounds(categories, largest)
    for squared in (bounds.spending_squared, bounds.clients_squared):
        noised = privacy.noised([0], squared, rho)
        assert rho * 0.999 < noised.rho <= rho


def test_epsilon_is_that_of_the_paper() -> None:
    assert privacy.epsilon(0.125, 1e-6) == pytest.approx(0.125 + 2 * math.sqrt(0.125 * math.log(1e6)))


def test_the_configured_reports_share_one_budget() -> None:
    reports = load_catalogue(CATALOGUES).reports
    assert set(reports) == {"category_spending"}
    assert sum(report.rho_share for report in reports.values()) <= 1
    assert Bounds.of(Report(purpose="p", rho_share=1, spending_share=0.5, most_categories=99, largest_spending_KZT=5)) == Bounds(
        24, 500
    )


@pytest.mark.parametrize("text", ["2026-13", "2026-00", "2026-1", "26-10", "2026-10\n", "٢٠٢٦-10", "2026-10-01"])
def test_a_period_is_a_month(text: str) -> None:
    with pytest.raises(NotAPeriod):
        Period.of(text)


def test_a_period_ends_where_the_next_begins() -> None:
    assert Period.of("2026-12").end == Period.of("2027-01").start
    assert str(Period.of("2026-02")) == "2026-02"
