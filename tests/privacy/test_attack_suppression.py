"""P9: what is shown of small groups, of groups near the threshold, and of groups that nobody is in."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from consent_api import privacy
from consent_api.catalogue import EVERYBODY
from consent_api.privacy import Noised
from consent_api.releases import Subject
from consent_api.reports import Plan, compose
from consent_api.reports.exact import Exact
from tests.privacy.crowds import COMPANY, NAMES, OCTOBER, Person, bank_of, every_plan, several, sums_of
from tests.privacy.evidence import at_least, at_most

AT = datetime(2026, 11, 21, tzinfo=UTC)
CELLS = 5000


def documents(plan: Plan, kind: str, exact: Exact, count: int) -> Iterator[dict[str, bytes | None]]:
    """So many independent releases of the same sums."""
    return (compose(Subject(COMPANY, kind, OCTOBER), plan, exact, AT) for _ in range(count))


@pytest.fixture
def by_city(plans) -> Plan:
    """A report with one breakdown, whose cells the tests fill."""
    plan = plans["spending_dynamics"]
    return replace(plan, segments={"city": plan.segments["city"]})


def filled(plan: Plan, clients: int) -> Exact:
    """Every city with so many clients, who spend 50,000 tenge each in two purchases."""
    cells = len(plan.labels("city"))
    one = {"total": 5_000_000, "purchases": 2, "clients": 1}
    sizes = {EVERYBODY: np.array([[clients * cells]]), "city": np.full((cells, 1), clients)}
    return {segment: {name: size * value for name, value in one.items()} for segment, size in sizes.items()}


def shown(plan: Plan, clients: int) -> int:
    """How many of 5,000 cells of so many clients are shown."""
    found = documents(plan, "spending_dynamics", filled(plan, clients), math.ceil(CELLS / len(plan.labels("city"))))
    cells = [label in parts for each in found for parts in [_parts(each["city"])] for label in plan.labels("city")]
    return sum(cells[:CELLS])


def _parts(document: bytes | None) -> dict[str, Any]:
    return json.loads(document)["metrics"]["cells"] if document else {}


@pytest.fixture
def threshold(by_city) -> int:
    """From how many noised clients on a city is shown, as `privacy` states it."""
    (document,) = documents(by_city, "spending_dynamics", filled(by_city, 10**6), 1)
    return math.ceil(json.loads(document["city"])["privacy"]["suppressed_below_clients"]["clients"])


def ratio_at_least(often: int, seldom: int) -> float:
    """By how much the chances of being shown differ at least, at 95 % confidence."""
    return at_least(often, CELLS, 0.025) / at_most(seldom, CELLS, 0.025)


def most(plan: Plan) -> float:
    """The ratio that the number of clients in one cell may cause: e^epsilon of the rho it is given."""
    (measure,) = [measure for measure in plan.template.measures if measure.name == "clients"]
    return math.exp(privacy.epsilon(sum(plan.rho_of(segment, measure) for segment in plan.segment_shares)))


def test_p09_cells_of_49_50_and_51_clients_are_as_good_as_never_shown(by_city) -> None:
    assert [shown(by_city, clients) <= 4 for clients in (49, 50, 51)] == [True] * 3


def test_p09_one_client_more_at_the_threshold_hardly_changes_whether_a_cell_is_shown(by_city, threshold) -> None:
    below, at, above = (shown(by_city, threshold + more) for more in (-1, 0, 1))
    assert 0.3 < at / CELLS < 0.7
    assert max(ratio_at_least(*pair) for pair in ((above, at), (at, below), (below, at), (at, above))) <= most(by_city)


def test_p09_a_threshold_on_the_exact_number_is_caught(by_city, threshold, monkeypatch) -> None:
    noised = privacy.noised

    def without_noise(values, *spent) -> Noised:
        return replace(noised([0], *spent), values=list(values))

    monkeypatch.setattr(privacy, "noised", without_noise)
    assert ratio_at_least(shown(by_city, threshold), shown(by_city, threshold - 1)) > most(by_city)


def sums(people: list[Person], kinds: dict[str, Plan]) -> dict[str, Exact]:
    return sums_of(bank_of(people), [person.client_code for person in people], kinds)


@pytest.fixture(scope="module")
def one() -> dict[str, Exact]:
    """A single client who buys for 90,000 tenge in every category."""
    return sums([Person("one", purchases=[(name, 90_000.0) for name in NAMES])], every_plan())


@pytest.fixture(scope="module")
def crowd() -> dict[str, Exact]:
    """A crowd in one city, three clients in another, and one whom no public list knows: a city, an age and a category."""
    odd = Person("odd", 130, "Тайное", float("nan"), [("Секретная категория", 9e9)])
    many = several("c", 2000, purchases=[(name, 20_000.0) for name in NAMES[:8]])
    return sums([*many, *several("few", 3, city="Семей", age=70), odd], every_plan())


@pytest.mark.parametrize("size", [1, 5, 49])
def test_p09_of_a_single_client_and_of_a_small_cohort_nothing_is_ever_shown(one, plans, size: int) -> None:
    for kind, plan in plans.items():
        exact = {segment: {name: size * each for name, each in measures.items()} for segment, measures in one[kind].items()}
        for each in documents(plan, kind, exact, 20):
            assert each == dict.fromkeys((EVERYBODY, "age_group", "city"))


def test_p09_a_cell_of_few_and_a_cell_of_nobody_look_the_same(crowd, plans) -> None:
    """Neither is mentioned."""
    for kind, plan in plans.items():
        for each in documents(plan, kind, crowd[kind], 10):
            assert list(_parts(each["city"])) == ["Алматы"]
            assert list(_parts(each["age_group"])) == ["35-44"]
            text = b"".join(document or b"" for document in each.values()).decode()
            assert not any(name in text for name in ("Семей", "65+", "Астана"))


def test_p09_partitions_are_public_whatever_the_data_holds(crowd, plans) -> None:
    """What no public list names has neither a key nor a number of its own."""
    for kind, plan in plans.items():
        for segment in plan.segments:
            assert {len(cells) for cells in crowd[kind][segment].values()} == {len(plan.labels(segment))}
            assert not any(cells[-1].any() for cells in crowd[kind][segment].values())
        for each in documents(plan, kind, crowd[kind], 3):
            text = b"".join(document or b"" for document in each.values()).decode()
            assert not any(name in text for name in ("Тайное", "Секретная"))


def test_p09_the_complement_of_what_is_shown_does_not_give_away_who_is_hidden(plans) -> None:
    """All clients less the shown cells is the hidden one: 200 times, an attacker who knows that it is a single client."""
    whale = Person("whale", city="Семей", age=70, purchases=[(NAMES[0], 1_000_000.0)])
    kind = "spending_dynamics"
    exact = sums([*several("c", 2000), whale], {kind: plans[kind]})[kind]
    errors, scale = [], 0.0
    for each in documents(plans[kind], kind, exact, 200):
        whole = json.loads(each[EVERYBODY])
        (total,) = [month["total"] for month in whole["metrics"]["by_month"].values()]
        visible = sum(month["total"] for cell in _parts(each["city"]).values() for month in cell["by_month"].values())
        errors.append(abs(total - visible - 1_000_000))
        scale = whole["privacy"]["standard_deviation"]["by_month"][str(OCTOBER)]["total"]
    assert np.mean(errors) >= 0.5 * scale
