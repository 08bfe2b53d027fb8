"""Estimates of the error of amounts: their intervals hold what is realised, and labels that contradict them are heard."""

import os
from dataclasses import replace

import numpy as np
import pytest

from monitoring.amounts import expected_error
from monitoring.error_model import Amounts, ErrorModel
from monitoring.estimation import Estimated, NotEstimable

WINDOWS = int(os.environ.get("OPORA_TEST_WINDOWS", "20"))
"""Simulated windows; `python -m bench.estimates` takes a thousand of a simulated bank."""


def incomes(rows: int, shift: float, rng: np.random.Generator, months: int = 1) -> Amounts:
    """Clients of three scores each on average, alike in their errors, which have heavy tails and depend on what is not known."""
    clients = np.sort(rng.integers(0, max(1, rows // 3), rows))
    month = rng.integers(0, months, rows)
    own = rng.normal(0, 1, (rows, 3)) + np.array([shift, shift / 3, shift])
    features = own[clients] + rng.normal(0, 0.15, (rows, 3))
    predictions = np.exp(12.5 + 0.6 * features[:, 0] + 0.2 * features[:, 1])
    stated = 0.18 + 0.2 / (1 + np.exp(-1.2 * features[:, 2]))
    sigma = 0.15 + 0.25 / (1 + np.exp(-1.5 * features[:, 2]))
    noise = np.sqrt(0.7) * _heavy(rng, rows)[clients] + np.sqrt(0.3) * _heavy(rng, rows)
    labels = predictions * np.exp(0.1 * features[:, 0] * features[:, 1] + sigma * noise + 0.03 * rng.normal(size=12)[month])
    low, high = predictions * np.exp(-1.7 * stated), predictions * np.exp(1.7 * stated)
    order = np.argsort(month, kind="stable")
    return Amounts(features, predictions, low, high, labels, clients, month).take(order)


def _heavy(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.normal(size=count) * np.where(rng.random(count) < 0.08, 2.5, 1.0)


def test_intervals_hold_the_realised_error_of_shifted_windows_in_88_of_100() -> None:
    rng = np.random.default_rng(7)
    held = 0
    for number in range(WINDOWS):
        known = incomes(int(rng.choice([400, 1200])), 0.0, rng, months=3)
        window = incomes(int(rng.choice([100, 300, 600])), rng.uniform(-0.7, 0.7), rng)
        found = expected_error("wmae", known, replace(window, labels=np.full(len(window), np.nan)), number)
        assert isinstance(found, Estimated), found
        held += found.low <= window.errors.mean() <= found.high
    print(f"wmae: {held} of {WINDOWS}")
    assert held >= 0.88 * WINDOWS


def test_errors_grow_with_prediction_and_width_as_the_labels_say() -> None:
    rng = np.random.default_rng(1)
    known = incomes(4000, 0.0, rng)
    expected = np.abs(rng.normal(0, 0.3, 4000)) * known.predictions
    model = ErrorModel(replace(known, labels=known.predictions + expected))
    (found,) = model.expected(np.ones(4000), model.design(known))
    assert found.sum() == pytest.approx(expected.sum(), rel=0.01)
    for rows in np.array_split(np.argsort(known.predictions), 4):
        assert found[rows].sum() == pytest.approx(expected[rows].sum(), rel=0.2)


def test_months_that_differ_make_the_interval_wider() -> None:
    rng = np.random.default_rng(2)
    known, window = incomes(1500, 0, rng, months=6), incomes(500, 0, rng)
    bonus = np.where(np.isin(known.months, (1, 4)), 1.5, 1.0)  # in both halves of the rows: nothing new
    uneven = replace(known, labels=known.predictions + (known.labels - known.predictions) * bonus)
    narrow, wide = (expected_error("wmae", rows, window, 1) for rows in (known, uneven))
    assert isinstance(narrow, Estimated)
    assert isinstance(wide, Estimated)
    assert (wide.high - wide.low) / wide.value > 1.2 * (narrow.high - narrow.low) / narrow.value


@pytest.mark.parametrize("width", [0.3, 8.0])
def test_a_model_whose_intervals_deceive_is_not_estimable(width: float) -> None:
    rng = np.random.default_rng(3)
    known, window = incomes(1200, 0, rng), incomes(300, 0, rng)
    middle = known.predictions
    deceived = replace(known, low=middle - width * (middle - known.low), high=middle + width * (known.high - middle))
    found = expected_error("wmae", deceived, window, 1)
    assert isinstance(found, NotEstimable)
    assert "of the labels instead of 90%" in found.reason


def test_errors_that_have_just_become_larger_are_not_estimable() -> None:
    rng = np.random.default_rng(4)
    known, window = incomes(1200, 0, rng), incomes(300, 0, rng)
    grown = known.predictions + (known.labels - known.predictions) * np.where(np.arange(1200) < 600, 0.7, 1.3)
    found = expected_error("wmae", replace(known, labels=grown), window, 1)
    assert isinstance(found, NotEstimable)
    assert "errors of the newest labelled rows are" in found.reason


@pytest.mark.parametrize(("labelled", "scored"), [(199, 300), (1200, 29)])
def test_too_few_labels_or_scores_are_not_estimable(labelled: int, scored: int) -> None:
    rng = np.random.default_rng(5)
    found = expected_error("wmae", incomes(labelled, 0, rng), incomes(scored, 0, rng), 1)
    assert isinstance(found, NotEstimable)
    assert f"{labelled} labelled rows and {scored} scores" in found.reason


def test_the_same_rows_and_seed_give_the_same_estimate() -> None:
    first, second = (
        expected_error("wmae", incomes(300, 0, rng), incomes(100, 0, rng), 1) for rng in map(np.random.default_rng, (5, 5))
    )
    assert first == second


def test_a_model_without_any_error_is_expected_to_have_none() -> None:
    known, window = incomes(400, 0, np.random.default_rng(6)), incomes(100, 0, np.random.default_rng(7))
    found = expected_error("wmae", replace(known, labels=known.predictions), window, 1)
    assert not isinstance(found, Estimated) or found.high < 1e-3
