"""Estimates before labels: their intervals hold what is realised later, and a model that cannot be believed is refused."""

import os

import numpy as np
import pandas as pd
import pytest

from monitoring.density import density_ratio
from monitoring.estimation import Estimated, NotEstimable, Rows, expected_metric
from monitoring.learned import without_calendar
from monitoring.map_draws import drawn_probabilities, row_weights
from monitoring.recalibration import recalibrate
from registry.encoding import ModelColumn, encode
from registry.metrics import METRICS
from registry.scorer import Scorer

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


def test_the_weight_of_a_period_varies_more_the_shorter_the_window_is_while_a_client_has_one_of_its_own() -> None:
    rng, rows = np.random.default_rng(6), 800
    clients = np.arange(rows) // 2
    for ahead, times in ((100 * rows, 1), (rows // 4, 5)):  # variance of a period's weight
        weights = row_weights(clients, ahead, 2000, rng)
        assert weights.mean(axis=1) == pytest.approx(1)
        np.testing.assert_array_equal(weights[:, ::2], weights[:, 1::2])
        first = weights[:, : rows // 8].mean(axis=1)  # eight times a beta variable: the share of one of eight gamma variables
        assert first.var() == pytest.approx(7 / (8 / times + 1), rel=0.15)


def payments(stretches: int, rng: np.random.Generator) -> Rows:
    """Stretches of time, each of 250 payments of 50 clients; in some a campaign raises the odds of all, in others none does.

    A client's payments in a stretch are frauds or not together; what is stated is right in the long run.
    """
    rows, level = stretches * 250, np.array([-1.5, 1.5])
    clients = np.sort(rng.integers(0, 50, (stretches, 250)) + 50 * np.arange(stretches)[:, None], axis=1).ravel()
    evidence = 2 * rng.normal(0, 1, rows) + 4 * (rng.random(stretches * 50) < 0.2)[clients] - 5
    came = 1 / (1 + np.exp(-evidence - rng.choice(level, stretches)[np.arange(rows) // 250]))
    usual = (1 / (1 + np.exp(-evidence[:, None] - level))).mean(axis=1)
    labels = (rng.random(stretches * 50)[clients] < came).astype(float)
    return Rows(rng.normal(size=(rows, 2)), {"fraud": usual}, {"fraud": labels}, clients)


def test_intervals_hold_where_frauds_come_in_campaigns() -> None:
    rng = np.random.default_rng(7)
    held = []
    for number in range(55):
        known, window = payments(12, rng), payments(1, rng)
        found = expected_metric(METRICS["pr_auc"], "pr_auc", known, window, number)
        if isinstance(found, Estimated):
            truth = METRICS["pr_auc"].score(window.labels["fraud"], window.predictions["fraud"], np.ones(250))
            held.append(found.low <= truth <= found.high)
    print(f"{sum(held)} of {len(held)}")
    assert len(held) >= 40
    assert np.mean(held) >= 0.88


def in_effect(weights: np.ndarray) -> float:
    """Rows without weights that tell as much."""
    return float(weights.sum() ** 2 / (weights**2).sum())


def dated(scorer: Scorer, begin: float, rng: np.random.Generator) -> Rows:
    """A thousand payments within 14 days of `begin`, in days; most are of pairs who first paid soon after the history began."""
    days = begin + rng.uniform(0, 14, 1000)
    age = np.maximum(days - rng.exponential(5, 1000), 0) * 86_400
    amount, weekday = rng.lognormal(9, 1, 1000), days // 1 % 7
    frame = pd.DataFrame({"amount": amount, "pair_seconds_since_first_payment": age, "weekday": weekday})
    return Rows(encode(frame, scorer.columns_), {}, {}, np.arange(1000))


def test_what_time_alone_moves_does_not_starve_the_weights() -> None:
    names = "amount", "pair_seconds_since_first_payment", "weekday"
    scorer = Scorer(tuple(ModelColumn(name) for name in names), (), {}, {}, {}, pd.DataFrame())
    rng = np.random.default_rng(2)
    rows = [dated(scorer, begin, rng) for begin in (20, 30)]
    known, window = (without_calendar("fraud", scorer, one).matrix for one in rows)
    assert known.shape[1] == 1
    assert in_effect(density_ratio(known, window, 1)) > 800
    assert in_effect(density_ratio(rows[0].matrix, rows[1].matrix, 1)) < 500
    np.testing.assert_array_equal(without_calendar("a_table_of_ones_own", scorer, rows[0]).matrix, rows[0].matrix)


def test_rows_that_nothing_but_time_moves_weigh_alike() -> None:
    assert density_ratio(np.empty((30, 0)), np.empty((20, 0)), 1).tolist() == [1.0] * 30


def test_too_few_labels_scores_or_classes_are_not_estimable() -> None:
    rng = np.random.default_rng(3)
    many, few = binary(2000, 0, rng), binary(20, 0, rng)
    one_class = Rows(many.matrix, many.predictions, {"fraud": np.zeros(2000)}, many.clients)
    for known, window in ((few, many), (many, few), (one_class, many)):
        assert isinstance(expected_metric(METRICS["pr_auc"], "pr_auc", known, window, 1), NotEstimable)


def test_a_window_of_which_hardly_a_fraud_is_to_be_expected_is_not_estimable() -> None:
    rng = np.random.default_rng(3)
    known, window = binary(2000, 0, rng), binary(60, 0, rng)
    found = expected_metric(METRICS["pr_auc"], "pr_auc", known, window, 1)
    assert isinstance(found, NotEstimable)
    assert "of the 60 scores in the window, 1" in found.reason  # a quarter of them
    assert isinstance(expected_metric(METRICS["pr_auc"], "pr_auc", known, binary(160, 0, rng), 1), Estimated)


def test_a_handful_of_the_most_probable_rows_proves_neither_much_nor_nothing() -> None:
    rng = np.random.default_rng(8)
    known = np.r_[rng.uniform(0.005, 0.05, 3000), np.full(7, 0.5)]
    labels = np.r_[rng.random(3000) < known[:3000], np.ones(7)].astype(float)
    clients = np.r_[np.arange(3000), np.full(7, 3000)]  # seven frauds of seven, of one client
    drawn = np.array(list(drawn_probabilities(known, labels, clients, np.ones(3007), np.array([0.5, 0.01]), 200, rng)))
    low, high = np.quantile(drawn[:, 0], [0.1, 0.9])
    assert 0.1 < low < 0.4  # without what is believed before: 0.0002
    assert 0.8 < high < 0.95
    assert 0.005 < np.median(drawn[:, 1]) < 0.02


def test_the_same_rows_and_seed_give_the_same_estimate() -> None:
    first, second = (
        expected_metric(METRICS["roc_auc"], "roc_auc", binary(500, 0, rng), binary(300, 0, rng), 1)
        for rng in (np.random.default_rng(5), np.random.default_rng(5))
    )
    assert first == second
