"""P1 as an attacker measures it: thousands of releases over worst-case neighbours, and what they say about one client."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from consent_api import privacy
from consent_api.privacy import PrivacyNotKept
from consent_api.reports import Plan, category_spending, exact
from consent_api.reports.exact import Exact
from settings import Settings
from tests.privacy.crowds import NAMES, Person, bank_of, every_plan, several, sums_of
from tests.privacy.evidence import epsilon_at_least

RELEASES = 5000
CROWD = several("c", 300)
WHALE = Person("whale", purchases=[*((name, 150.0) for name in NAMES), *((NAMES[0], 996_400 / 36),) * 36])
"""Reaches all bounds at once: 60 purchases of a million tenge together, in every category, most of it in one."""
FLOOD = Person("flood", purchases=[(NAMES[0], 9_999_999.0)] * 10_000)
Neighbours = tuple[dict[str, Exact], dict[str, Exact]]


def sums(client: Person, plans: dict[str, Plan]) -> Neighbours:
    """Exact sums over a crowd with and without a client."""
    source, crowd = bank_of([*CROWD, client]), [person.client_code for person in CROWD]
    return sums_of(source, [*crowd, client.client_code], plans), sums_of(source, crowd, plans)


@pytest.fixture(scope="module")
def neighbours() -> Neighbours:
    return sums(WHALE, every_plan())


def losses(taken: int, pair: Neighbours, plans: dict[str, Plan], only: str | None = None) -> np.ndarray:
    """The likelihood ratio of 5,000 whole reports over one of the neighbours: nothing tells the two apart better."""
    return sum(
        _projected(pair[taken][name][segment][measure.name], *(each[name][segment][measure.name] for each in pair), spent)
        for name, plan in plans.items()
        for segment in plan.segment_shares
        for measure in plan.template.measures
        if only in (None, measure.name)
        for spent in [(measure.sensitivity_squared, plan.rho_of(segment, measure))]
    )


def _projected(taken: np.ndarray, present: np.ndarray, absent: np.ndarray, spent: tuple[int, float]) -> np.ndarray:
    shift = (present - absent).ravel().astype(float)
    moved = np.flatnonzero(np.abs(shift) > 0.01 * np.abs(shift).max())  # the rest tells nothing, and would have to be drawn
    drawn = privacy.noised(np.tile(taken.ravel()[moved], RELEASES).tolist(), *spent)
    outputs = drawn.array((RELEASES, len(moved))) - absent.ravel()[moved]
    return outputs @ shift[moved] / drawn.standard_deviation**2


@pytest.fixture(scope="module")
def attacked(neighbours) -> tuple[np.ndarray, np.ndarray]:
    """What 5,000 whole reports with the client tell, and 5,000 without it."""
    return losses(0, neighbours, every_plan()), losses(1, neighbours, every_plan())


def test_p01_five_thousand_whole_reports_refute_no_smaller_epsilon_than_is_stated(attacked) -> None:
    assert 0.5 < epsilon_at_least(*attacked, privacy.DELTA) <= privacy.epsilon(Settings().release_rho)


def test_p17_whoever_knows_everything_else_guesses_a_client_from_one_report_as_often_as_the_budget_says(attacked) -> None:
    """The best guess of all, that of the likelihood ratio; docs/privacy.md states how often it is right by rho."""
    present, absent = attacked
    border = (present.mean() + absent.mean()) / 2
    right = (float((present > border).mean()) + float((absent <= border).mean())) / 2
    stated = norm.cdf(math.sqrt(2 * Settings().release_rho) / 2)
    assert abs(right - stated) < 6 * 0.5 / math.sqrt(2 * RELEASES)


def test_p01_the_neighbours_are_the_worst_there_are(neighbours, plans) -> None:
    """All that a client may cost is used up, so that the attack above is as strong as any."""
    present, absent = neighbours
    for name, plan in plans.items():
        for segment in plan.segment_shares:
            for measure in plan.template.measures:
                shift = present[name][segment][measure.name] - absent[name][segment][measure.name]
                assert 0.98 * measure.sensitivity_squared <= int((shift.astype(object) ** 2).sum()) <= measure.sensitivity_squared


@pytest.fixture
def mutant(plans, monkeypatch) -> dict[str, Plan]:
    """One report, whose bounds are not kept."""
    monkeypatch.setattr(category_spending, "at_most", lambda value, bound: value)
    monkeypatch.setattr(category_spending, "within", lambda vector, length, norm: list(vector))
    return {"category_spending": plans["category_spending"]}


def test_p01_a_mutant_without_the_clamp_releases_nothing(mutant) -> None:
    with pytest.raises(PrivacyNotKept, match="category_spending"):
        sums(FLOOD, mutant)


def test_p01_a_mutant_without_the_clamp_and_its_guard_is_caught(mutant, monkeypatch) -> None:
    monkeypatch.setattr(exact, "_require_bounds", lambda frame, every: None)
    pair = sums(FLOOD, mutant)
    found = epsilon_at_least(*(losses(taken, pair, mutant, "spending") for taken in (0, 1)), privacy.DELTA)
    assert found > privacy.epsilon(Settings().release_rho)
