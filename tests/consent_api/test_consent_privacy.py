"""Promises of the mechanism: bounded before it is summed, noised as stated, paid as declared."""

import math
import statistics
from dataclasses import replace

import ibis
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent_api import budget, privacy
from consent_api.catalogue import EVERYBODY, BrokenCatalogue, load_catalogue
from consent_api.contributions import contributions, pseudonymous
from consent_api.periods import NotAPeriod, Period
from consent_api.privacy import PrivacyNotKept
from consent_api.reports import Plan
from consent_api.reports import plans as configured_plans
from consent_api.reports.exact import Exact, bounded, exact_sums
from features.categories import CATEGORIES
from settings import Settings
from tests.consent_api.conftest import CATALOGUES
from tests.privacy.crowds import NAMES, OCTOBER, Person, bank_of, several, sums_of

CROWD = several("c", 60, purchases=[(NAMES[0], 250.0), (NAMES[1], 4_000.0)])
CODES = [person.client_code for person in CROWD]
WHALE = Person("whale", 70, "Астана", 5e6, [(NAMES[number % 24], 9_999_999.0) for number in range(10_000)])


def longest_change(with_client: Exact, without: Exact, plan: Plan) -> dict[str, float]:
    """By measure: how far one client moved the figures of a segment, as a share of what the noise is made for."""
    return {
        measure.name: max(
            math.sqrt(float(((with_client[segment][measure.name] - without[segment][measure.name]).astype(float) ** 2).sum()))
            / math.sqrt(measure.sensitivity_squared)
            for segment in plan.segment_shares
        )
        for measure in plan.template.measures
    }


def test_p01_a_client_with_ten_thousand_payments_moves_every_figure_by_the_bound_at_most(plans) -> None:
    source = bank_of([*CROWD, WHALE])
    without, with_whale = (sums_of(source, cohort, plans) for cohort in (CODES, [*CODES, "whale"]))
    for data_type, plan in plans.items():
        moved = longest_change(with_whale[data_type], without[data_type], plan)
        assert max(moved.values()) <= 1, data_type
        assert min(moved.values()) > 0, f"{data_type}: the client is not counted, so nothing was shown"
        assert max(moved.values()) > 0.99, f"{data_type}: the bounds are looser than what the noise is made for"


def test_p01_a_report_whose_bounds_are_not_kept_is_refused(plans) -> None:
    """The clamps are taken out: what the engine sums is checked against the bounds, whoever forgot to clamp."""
    source = bank_of([*CROWD, WHALE])
    rows = bounded(
        contributions(source, pseudonymous({kind: [*CODES, "whale"] for kind in plans}), OCTOBER, _segments(plans)), plans
    )
    spent = "spending_dynamics/total/0"
    with pytest.raises(PrivacyNotKept, match="total"):
        exact_sums(source.engine, rows.mutate(**{spent: rows[spent] * 1000}), plans)


def _segments(plans):
    return next(iter(plans.values())).segments


purchases = st.lists(st.tuples(st.sampled_from(NAMES[:6]), st.floats(0.01, 1e11)), max_size=30)
people = st.builds(Person, st.just("x"), st.integers(0, 120), st.sampled_from(["Алматы", "?"]), st.floats(0, 1e9), purchases)


@pytest.fixture(scope="module")
def crowd_alone(plans):
    return sums_of(bank_of(CROWD), CODES, plans)


@settings(max_examples=4, deadline=None)
@given(people)
def test_p01_no_client_exceeds_the_bounds(plans, crowd_alone, person: Person) -> None:
    with_person = sums_of(bank_of([*CROWD, person]), [*CODES, "x"], plans)
    for data_type, plan in plans.items():
        assert max(longest_change(with_person[data_type], crowd_alone[data_type], plan).values()) <= 1


def test_p01_amounts_that_are_none_count_for_nothing_or_for_the_bound(plans) -> None:
    kinds = one(plans, "category_spending")
    amounts = [math.nan, math.inf, -math.inf, -5.0, 0.0, 1e300]
    odd = {f"x{number}": Person(f"x{number}", purchases=[(NAMES[2 + number], 1.0)]) for number in range(len(amounts))}
    source = bank_of([*CROWD, *odd.values()])
    rows = source.transactions  # the engine is given the amounts themselves: a data frame would make a null of NaN
    literals = zip(odd, (ibis.literal(amount, "float64") for amount in amounts), strict=True)
    changed = rows.mutate(amount=rows.client_code.cases(*literals, else_=rows.amount))
    sums = sums_of(replace(source, transactions=changed), [*CODES, *odd], kinds)["category_spending"][EVERYBODY]
    largest = kinds["category_spending"].template.bounds["largest_category_KZT"] * 100
    for number, amount in enumerate(amounts):
        counted = largest - 1 if amount > 1 else 0
        assert abs(int(sums["spending"][0, 2 + number]) - counted) <= 1, amount


def one(plans: dict[str, Plan], data_type: str) -> dict[str, Plan]:
    """The plan of the only report that a test looks at: all of them take longer."""
    return {data_type: plans[data_type]}


def test_p01_a_client_who_stands_twice_in_the_tables_counts_once(plans) -> None:
    source = bank_of(CROWD)
    twice = replace(source, clients=source.clients.union(source.clients), incomes=source.incomes.union(source.incomes))
    once, doubled = (sums_of(each, CODES, plans) for each in (source, twice))
    for data_type, by_segment in once.items():
        for measure, values in by_segment[EVERYBODY].items():
            assert (doubled[data_type][EVERYBODY][measure] == values).all()


def test_only_the_cohort_and_only_the_month_are_counted(plans, purchases) -> None:
    rows = [
        ("1", "2026-09-30 23:59:59", NAMES[0], 10.0),
        ("1", "2026-10-01 00:00:00", NAMES[0], 20.0),
        ("1", "2026-10-31 23:59:59", NAMES[1], 30.25),
        ("1", "2026-11-01 00:00:00", NAMES[0], 40.0),
        ("2", "2026-10-10 00:00:00", NAMES[0], 50.0),
    ]
    exact = sums_of(purchases(rows), ["1"], one(plans, "category_spending"))["category_spending"][EVERYBODY]
    assert exact["spending"][0, :3].tolist() == [2000, 3025, 0]
    assert exact["categories"][0, :3].tolist() == [1, 1, 0]
    assert exact["clients"].tolist() == [[1]]
    nobody = sums_of(purchases(rows), [], plans)
    assert not any(values.any() for exact in nobody.values() for cells in exact.values() for values in cells.values())


def test_foreign_purchases_are_counted_in_tenge_and_unknown_currencies_not_at_all(plans, purchases) -> None:
    source = purchases([("1", "2026-10-02", NAMES[0], 1.5)])
    spent = {}
    for currency in ("USD", "XXX"):
        dollars = replace(source, transactions=source.transactions.mutate(currency=ibis.literal(currency)))
        spent[currency] = sums_of(dollars, ["1"], one(plans, "spending_dynamics"))["spending_dynamics"][EVERYBODY][
            "total"
        ].tolist()
    assert spent == {"USD": [[78_000]], "XXX": [[0]]}


def test_a_client_is_counted_in_the_data_types_it_consents_to_and_in_its_own_cells(plans) -> None:
    source = bank_of([Person("1", 30, "Астана"), Person("2", 17, "Темиртау"), Person("3", 10, "Алматы")])
    cohort = pseudonymous({kind: ["1", "2", "3"] if kind == "income_segments" else ["2"] for kind in plans})
    rows = bounded(contributions(source, cohort, OCTOBER, _segments(plans)), plans)
    sums = exact_sums(source.engine, rows, plans)
    counted = {kind: int(sums[kind]["age_group"][plan.template.measures[-1].name].sum()) for kind, plan in plans.items()}
    assert counted == {"category_spending": 1, "average_bill": 1, "spending_dynamics": 1, "income_segments": 3}
    plan = plans["income_segments"]
    for segment, cells in {"age_group": ["25-34", "14-17", "other"], "city": ["Астана", "other", "Алматы"]}.items():
        by_cell = sums["income_segments"][segment]["segments"].sum(axis=1)
        assert {label for label, count in zip(plan.labels(segment), by_cell, strict=True) if count} == set(cells)


def test_p24_the_same_client_has_unlinkable_pseudonyms_in_any_two_reports() -> None:
    first, second = (set(pseudonymous({"average_bill": ["1", "2"]}).pseudonym.to_pandas()) for _ in range(2))
    assert len(first | second) == 4


def test_a_long_vector_is_shortened_and_keeps_its_proportions(plans) -> None:
    bound = plans["category_spending"].template.bounds["largest_norm_KZT"] * 100
    person = Person("x", purchases=[(NAMES[0], 400_000.0), (NAMES[1], 400_000.0), (NAMES[2], 100_000.0)])
    spent = sums_of(bank_of([person]), ["x"], one(plans, "category_spending"))["category_spending"][EVERYBODY]["spending"][
        0
    ].astype(float)
    assert bound * 0.9999 < np.linalg.norm(spent) <= bound
    assert spent[0] == spent[1] == pytest.approx(4 * spent[2], rel=1e-5)


def test_the_mean_bill_of_a_client_with_many_purchases_stays_its_own(plans) -> None:
    person = Person("x", purchases=[(NAMES[0], 1_000.0)] * 500)
    exact = sums_of(bank_of([person]), ["x"], one(plans, "average_bill"))["average_bill"][EVERYBODY]
    assert exact["total"][0, 0] / exact["purchases"][0, 0] == pytest.approx(1_000.0, rel=1e-3)
    assert exact["purchases"][0, 0] <= 60 * 100


def test_p01_the_noise_has_the_stated_deviation() -> None:
    squared = 3 * 100_000**2
    noised = [privacy.noised([0] * 24, squared, 0.075) for _ in range(200)]
    values = [value for each in noised for value in each.values]
    stated = noised[0].standard_deviation
    assert statistics.pstdev(values) == pytest.approx(stated, rel=0.07)
    assert abs(statistics.fmean(values)) < 6 * stated / math.sqrt(len(values))
    assert stated == pytest.approx(math.sqrt(squared / (2 * 0.075)))


@given(st.integers(1, 10**18), st.floats(1e-4, 10))
def test_p01_what_opendp_says_is_spent_is_never_more_than_was_meant(squared: int, rho: float) -> None:
    assert rho * 0.999 < privacy.noised([0], squared, rho).rho <= rho


def test_epsilon_is_that_of_the_paper() -> None:
    assert privacy.epsilon(0.125, 1e-6) == pytest.approx(0.125 + 2 * math.sqrt(0.125 * math.log(1e6)))


def test_p07_all_figures_of_a_month_together_cost_what_one_report_may(plans) -> None:
    whole = sum(
        plan.rho_of(segment, measure)
        for plan in plans.values()
        for segment in plan.segment_shares
        for measure in plan.template.measures
    )
    assert whole == pytest.approx(Settings().release_rho)
    assert sum(budget.cost(plan.rho) for plan in plans.values()) == budget.cost(Settings().release_rho)


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("spending = 0.5", "spending = 0.6", "add up to 1"),
        ("rho_share = 0.48", "rho_share = 0.58", "add up to more than 1"),
        ("most_purchases = 60\nlargest", "largest", "bounds of the report on average_bill"),
        ("segments = 1.0", "clients = 1.0", "shares of the report on income_segments"),
        (
            "[data_type.average_bill.report]",
            "[data_type.other_bill]\ntitle_ru = 'x'\ntitle_en = 'x'\n[data_type.other_bill.report]",
            "other_bill",
        ),
        ('"18-24"', '"17-24"', "overlaps"),
        ('"65+"', '"old"', "ranges like"),
        ('"Астана"', '"Алматы"', "named once"),
        ("rho_share = 0.35", "rho_share = 0.65", "leave something"),
    ],
)
def test_a_catalogue_that_contradicts_itself_is_refused_with_what_to_mend(tmp_path, before, after, complaint) -> None:
    for path in CATALOGUES.glob("*.toml"):
        text = path.read_text()
        if path.name == "data_types.toml":
            assert before in text
            text = text.replace(before, after).replace(
                "[data_type.average_bill.report.",
                "[data_type.other_bill.report." if "other_bill" in after else "[data_type.average_bill.report.",
            )
        (tmp_path / path.name).write_text(text)
    with pytest.raises(BrokenCatalogue, match=complaint):
        configured_plans(load_catalogue(tmp_path), Settings())


@pytest.mark.parametrize("text", ["2026-13", "2026-00", "2026-1", "26-10", "2026-10\n", "٢٠٢٦-10", "2026-10-01"])
def test_a_period_is_a_month(text: str) -> None:
    with pytest.raises(NotAPeriod):
        Period.of(text)


def test_a_period_ends_where_the_next_begins() -> None:
    assert Period.of("2026-12").end == Period.of("2027-01").start
    assert str(Period.of("2026-02")) == "2026-02"


def test_a_category_nobody_lists_is_not_counted(plans, purchases) -> None:
    exact = sums_of(purchases([("1", "2026-10-02", "Казино", 100.0)]), ["1"], one(plans, "spending_dynamics"))
    assert not exact["spending_dynamics"][EVERYBODY]["clients"].any()
    assert "Казино" not in CATEGORIES
