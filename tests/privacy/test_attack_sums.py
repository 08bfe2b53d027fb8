"""Floods, overflow and numbers that are none: whatever one client's rows hold, the sums move by the bounds at most."""

import math
from dataclasses import replace

import ibis
import pandas as pd
import pytest

from consent_api.reports.exact import Exact
from tests.privacy.crowds import NAMES, Person, bank_of, every_plan, several, sums_of

PLANS = every_plan()
CITIES = iter(PLANS["spending_dynamics"].segments["city"].cells)
HOME = next(CITIES)
CROWD = several("c", 60, city=HOME)
NOTHING = math.nan

FLOODS = {
    "ten thousand payments": [(NAMES[number % 24], 9_999_999.0) for number in range(10_000)],
    "ten thousand small payments": [(NAMES[0], 150.0)] * 10_000,
    "one huge payment": [(NAMES[0], 1e308)],
    "payments that overflow": [(NAMES[0], 9.3e18)] * 500,
    "an infinite payment": [(NAMES[0], math.inf)],
    "every category far beyond its bound": [(name, 4e9) for name in NAMES],
}
NO_AMOUNTS = {
    "nan": math.nan,
    "minus infinity": -math.inf,
    "refund": -1.0,
    "refund that overflows": -9.3e18,
    "zero": 0.0,
    "null": None,
}
HOMES = {name: next(CITIES) for name in (*FLOODS, *NO_AMOUNTS)}


@pytest.fixture(scope="module")
def alone() -> dict[str, dict[tuple[str, str], int]]:
    """Squared length of what each attacker adds, by data type and measure: every attacker lives in a city without others."""
    floods = [Person(name, city=HOMES[name], purchases=purchases) for name, purchases in FLOODS.items()]
    odd = [Person(name, 40, HOMES[name], NOTHING, [(NAMES[0], amount)] * 50) for name, amount in NO_AMOUNTS.items()]
    people = [*CROWD, *floods, *odd]
    sums = sums_of(bank_of(people), [person.client_code for person in people], PLANS)
    rows = {name: PLANS["spending_dynamics"].labels("city").index(city) for name, city in HOMES.items()}
    return {name: _squared(sums, row) for name, row in rows.items()}


def _squared(sums: dict[str, Exact], cell: int) -> dict[tuple[str, str], int]:
    return {
        (kind, name): int((cells[cell].astype(object) ** 2).sum())
        for kind, exact in sums.items()
        for name, cells in exact["city"].items()
    }


BOUNDS = {(kind, each.name): each.sensitivity_squared for kind, plan in PLANS.items() for each in plan.template.measures}


@pytest.mark.parametrize("flood", FLOODS)
def test_p01_no_flood_of_one_client_moves_a_sum_by_more_than_its_bound(alone, flood: str) -> None:
    assert all(change <= BOUNDS[key] for key, change in alone[flood].items())
    assert alone[flood]["spending_dynamics", "clients"] == 1


@pytest.mark.parametrize("kind", NO_AMOUNTS)
def test_p01_what_is_no_amount_adds_nothing(alone, kind: str) -> None:
    assert not any(alone[kind].values())


def test_p01_a_currency_without_a_rate_adds_nothing() -> None:
    kind = {"spending_dynamics": PLANS["spending_dynamics"]}
    source = bank_of([*CROWD, Person("x", city="Астана")])
    currency = (source.transactions.client_code == "x").ifelse("XXX", "KZT")
    strange = replace(source, transactions=source.transactions.mutate(currency=currency))
    codes = [person.client_code for person in CROWD]
    present, absent = (sums_of(strange, cohort, kind)["spending_dynamics"]["all"] for cohort in ([*codes, "x"], codes))
    assert {name: each.tolist() for name, each in present.items()} == {name: each.tolist() for name, each in absent.items()}


def test_p01_a_client_who_is_in_the_tables_many_times_counts_once() -> None:
    """Two rows in `clients`, of two cities and ages, and two predictions of income."""
    kinds = {kind: PLANS[kind] for kind in ("spending_dynamics", "income_segments")}
    source = bank_of([*CROWD, Person("x", city="Астана", age=30)])
    clients, incomes = source.clients.to_pandas(), source.incomes.to_pandas()
    doubled = replace(
        source,
        clients=ibis.memtable(pd.concat([clients, clients.assign(city="Шымкент", age=60)])),
        incomes=ibis.memtable(pd.concat([incomes, incomes.assign(income=2e6)])),
    )
    sums = sums_of(doubled, ["x"], kinds)
    for kind, plan in kinds.items():
        for segment in plan.segment_shares:
            for measure in plan.template.measures:
                assert 0 < int((sums[kind][segment][measure.name].astype(object) ** 2).sum()) <= measure.sensitivity_squared
