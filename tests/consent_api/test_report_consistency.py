"""Promises of the post-processing: parts add up to the whole, nothing is negative, deviations are as stated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from consent_api.reports.category_spending import CategorySpending
from consent_api.reports.consistency import Noisy, consistent
from consent_api.reports.income_segments import IncomeSegments
from consent_api.reports.template import Cell, Estimate, Template

numbers = st.floats(-1e12, 1e12)


@given(arrays(float, (1, 3), elements=numbers), arrays(float, (8, 3), elements=numbers), arrays(float, (14, 3), elements=numbers))
def test_parts_add_up_to_the_whole_and_nothing_is_negative(whole, ages, cities) -> None:
    noisy = {"all": Noisy(whole, 5.0), "age_group": Noisy(ages, 3.0), "city": Noisy(cities, 4.0)}
    found = consistent(noisy)
    assert [len(cells) for cells in found.values()] == [1, 8, 14]
    for cells in found.values():
        values = np.stack([cell.values for cell in cells])
        assert (values >= 0).all()
        assert (values.sum(axis=0) == found["all"][0].values).all()


@given(arrays(np.int64, (8, 2), elements=st.integers(0, 10**9)))
def test_what_agrees_already_stays_as_it_is(ages) -> None:
    noisy = {"all": Noisy(ages.sum(axis=0, keepdims=True).astype(float), 5.0), "age_group": Noisy(ages.astype(float), 3.0)}
    found = consistent(noisy)["age_group"]
    assert (np.stack([cell.values for cell in found]) == ages).all()


@pytest.mark.parametrize("segment", ["all", "age_group", "city"])
def test_the_stated_deviation_is_that_of_the_figures(segment: str) -> None:
    """Over 4,000 columns far from zero, where nothing is cut off."""
    rng, width = np.random.default_rng(7), 4000
    truth = {"all": np.full((1, width), 8e5), "age_group": np.full((8, width), 1e5), "city": np.full((4, width), 2e5)}
    deviations = {"all": 300.0, "age_group": 200.0, "city": 100.0}
    noisy = {name: Noisy(cells + rng.normal(0, deviations[name], cells.shape), deviations[name]) for name, cells in truth.items()}
    cells = consistent(noisy)[segment]
    errors = np.stack([cell.values for cell in cells]) - truth[segment]
    assert errors.std() == pytest.approx(cells[0].deviation, rel=0.03)
    assert cells[0].deviation < deviations[segment]
    assert abs(errors.mean()) < 5 * cells[0].deviation / np.sqrt(errors.size / len(cells))


@pytest.mark.parametrize(
    "template", [CategorySpending(1, 1), IncomeSegments(("low", "high"), (1.0,))], ids=["categories", "incomes"]
)
def test_what_is_hidden_for_all_clients_is_hidden_in_the_cells(template: Template) -> None:
    def cell(second: int) -> Cell:
        """Enough clients, of whom `second` are in the second category or segment."""
        estimates = {each.name: Estimate(np.full(each.width, 1000), 1.0) for each in template.measures}
        (estimates.get("categories") or estimates["segments"]).values[1] = second
        return Cell(estimates, "2026-10", 50)

    shown, hidden = (template.findings(cell(1000), cell(second)) for second in (1000, 10))
    both, one = (str(each.metrics) for each in (shown, hidden))
    name = "high" if template.needs_incomes else "Кафе и рестораны"
    assert (name in both, name in one) == (True, False)
