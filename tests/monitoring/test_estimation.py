"""Estimates before labels: their intervals hold what is realised later, and a model that cannot be believed is refused."""

import os

import numpy as np
import pytest

from monitoring.estimation import Estimated, NotEstimable, Rows, expected_metric
from monitoring.recalibration import recalibrate
from registry.metrics import METRICS

WINDOWS = int(os.environ.get("OPORA_TEST_WINDOWS", "25"))
"""Simulated windows of each metric; the full count is 100."""


def chances(features: np.ndarray) -> np.ndarray:
    """The true probability of label 1, which does not change when the features shift."""
    return 1 / (1 + np.exp(-(1.2 * features[:, 0] - 0.8 * features[:, 1] + 0.5 * features[:, 0] * features[:, 1] - 1.5)))


def stated(features: np.ndarray) -> np.ndarray:
    """A model that knows the first two terms only, about calibrated."""
    return 1 / (1 + np.exp(-(1.1 * features[:, 0] - 0.75 * features[:, 1] - 1.45)))


def binary(rows: int, shift: float, rng: np.random.Generator, power: float = 1.0) -> Rows:
    features = rng.normal(0, 1, (rows, 4)) + np.array([shift, -shift / 2, 0, 0])
    labels = (rng.random(rows) < chances(features)).astype(float)
    return Rows(features, {"fraud": stated(features) ** power}, {"fraud": labels}, np.arange(rows))


@pytest.mark.parametrize("name", ["roc_auc", "pr_auc", "log_loss"])
def test_intervals_hold_the_realised_metric_of_shifted_windows_in_88_of_100(name: str) -> None:
    rng = np.random.default_rng(7)
    held = 0
    for number in range(WINDOWS):
        known = binary(2000, 0.0, rng)
        window = binary(1000, rng.uniform(-0.7, 0.7), rng)
        found = expected_metric(METRICS[name], name, known, window, number)
        assert isinstance(found, Estimated)
        truth = METRICS[name].score(window.labels["fraud"], window.predictions["fraud"], np.ones(1000))
        held += found.low <= truth <= found.high
    print(f"{name}: {held} of {WINDOWS}")
    assert held >= 0.88 * WINDOWS


@pytest.mark.parametrize("power", [2.0, 0.5])
def test_a_deliberately_miscalibrated_model_is_not_estimable(power: float) -> None:
    rng = np.random.default_rng(3)
    found = expected_metric(METRICS["roc_auc"], "roc_auc", binary(2000, 0, rng, power), binary(500, 0, rng, power), 1)
    assert isinstance(found, NotEstimable)
    assert "not calibrated" in found.reason


def test_many_rows_of_one_client_tell_no_more_than_one_of_them() -> None:
    rows = binary(400, 0, np.random.default_rng(4))
    given = rows.predictions["fraud"], rows.labels["fraud"], np.ones(400)
    once = recalibrate(*given, rows.clients, bends=False)
    many = [np.repeat(one, 5) for one in given]
    again = recalibrate(*many, np.repeat(rows.clients, 5), bends=False)
    others = recalibrate(*many, np.arange(2000), bends=False)
    np.testing.assert_allclose(np.diag(again.covariance), np.diag(once.covariance), rtol=0.05)
    np.testing.assert_allclose(np.diag(others.covariance), np.diag(once.covariance) / 5, rtol=0.05)


def struck(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stated probabilities and labels of eight periods; in each a campaign of its own makes fraud more or less frequent."""
    logits, periods = rng.normal(-2, 1, 2000), np.arange(2000) * 8 // 2000
    came = rng.random(2000) < 1 / (1 + np.exp(-logits - rng.normal(0, 0.6, 8)[periods]))
    return 1 / (1 + np.exp(-logits)), came.astype(float), periods


def test_the_uncertainty_of_a_map_holds_that_campaigns_strike_many_clients_for_a_time() -> None:
    rng = np.random.default_rng(6)
    levels, alone, together = [], [], []
    for _ in range(60):
        stated_, labels, periods = struck(rng)
        given = stated_, labels, np.ones(2000), np.arange(2000)
        without, found = recalibrate(*given, bends=False), recalibrate(*given, bends=False, periods=periods)
        np.testing.assert_array_equal(found.theta, without.theta)
        at_mean = np.array([-2.0, 1.0])  # the level where the rows are
        levels.append(at_mean @ found.theta)
        alone.append(at_mean @ without.covariance @ at_mean)
        together.append(at_mean @ found.covariance @ at_mean)
    assert np.mean(alone) < 0.3 * np.var(levels)
    assert 0.7 < np.mean(together) / np.var(levels) < 1.6


def test_periods_without_anything_in_common_take_nothing_from_what_clients_show() -> None:
    rows = binary(2000, 0, np.random.default_rng(8))
    given = rows.predictions["fraud"], rows.labels["fraud"], np.ones(2000), rows.clients
    without, found = recalibrate(*given), recalibrate(*given, periods=np.arange(2000) * 8 // 2000)
    assert np.linalg.eigvalsh(found.covariance - without.covariance).min() > -1e-9


def test_too_few_labels_scores_or_classes_are_not_estimable() -> None:
    rng = np.random.default_rng(3)
    many, few = binary(2000, 0, rng), binary(20, 0, rng)
    one_class = Rows(many.matrix, many.predictions, {"fraud": np.zeros(2000)}, many.clients)
    for known, window in ((few, many), (many, few), (one_class, many)):
        assert isinstance(expected_metric(METRICS["pr_auc"], "pr_auc", known, window, 1), NotEstimable)


def test_the_same_rows_and_seed_give_the_same_estimate() -> None:
    first, second = (
        expected_metric(METRICS["roc_auc"], "roc_auc", binary(500, 0, rng), binary(300, 0, rng), 1)
        for rng in (np.random.default_rng(5), np.random.default_rng(5))
    )
    assert first == second
