"""The bootstrap's promises: it is the metric that is resampled, bounds hold what they say, pairs and groups stay together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.bootstrap import Undefined, bootstrap_interval, paired_bootstrap
from registry.metrics import METRICS
from registry.resampling import reweighted

BINARY = ("roc_auc", "pr_auc", "log_loss")


def rows(count: int, seed: int, decimals: int = 9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Binary labels, probabilities that follow them (tied when rounded to few decimals), and weights, some of them 0."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) < 0.3).astype(float)
    labels[:2] = 0, 1
    predictions = np.round(np.clip(0.3 + 0.3 * (labels - 0.3) + rng.normal(0, 0.2, count), 0.001, 0.999), decimals)
    return labels, predictions, rng.integers(0, 4, count) * rng.random(count) + (np.arange(count) < 2)


@given(st.sampled_from(sorted(METRICS)), st.integers(5, 80), st.integers(0, 10_000), st.sampled_from([1, 2, 9]))
def test_the_prepared_metric_is_the_metric_itself(name: str, count: int, seed: int, decimals: int) -> None:
    labels, predictions, weights = rows(count, seed, decimals)
    prepared = reweighted(METRICS[name], labels, predictions)(weights)
    assert prepared == pytest.approx(METRICS[name].score(labels, predictions, weights), rel=1e-9)


@given(st.sampled_from(BINARY), st.integers(0, 10_000))
def test_the_prepared_metric_of_classes_is_the_metric_itself(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([[0.0, 1.0, 2.0], rng.integers(0, 3, 60)])
    predictions = rng.dirichlet([1, 1, 1], len(labels))
    weights = rng.random(len(labels)) + 0.1
    prepared = reweighted(METRICS[name], labels, predictions)(weights)
    assert prepared == pytest.approx(METRICS[name].score(labels, predictions, weights), rel=1e-9)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(300):
        errors = rng.normal(0, 1, 150)
        low, high = bootstrap_interval(METRICS["wmae"], errors, np.zeros(150), np.ones(150), seed)
        covered += low <= np.sqrt(2 / np.pi) <= high  # the mean of |N(0, 1)|
    assert 0.85 <= covered / 300 <= 0.95


def test_the_standard_error_is_that_of_the_theory() -> None:
    rng = np.random.default_rng(1)
    errors = rng.normal(0, 1, 4000)
    comparison = paired_bootstrap(METRICS["wmae"], errors, np.zeros(4000), np.full(4000, 0.5), np.ones(4000), replicates=500)
    gains = np.abs(errors - 0.5) - np.abs(errors)
    assert comparison.difference == pytest.approx(gains.mean())
    assert comparison.standard_error == pytest.approx(gains.std() / np.sqrt(4000), rel=0.1)
    assert comparison.low == pytest.approx(gains.mean() - 1.645 * comparison.standard_error, rel=0.1)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_positive_difference_speaks_for_the_first_whatever_the_metric(name: str) -> None:
    labels, predictions, weights = rows(2000, 2)
    worse = np.clip(0.5 * predictions + 0.5 * np.random.default_rng(3).random(2000), 0.001, 0.999)
    comparison = paired_bootstrap(METRICS[name], labels, predictions, worse, weights)
    assert 0 < comparison.low < comparison.difference < comparison.high
    mirrored = paired_bootstrap(METRICS[name], labels, worse, predictions, weights)
    assert (mirrored.low, mirrored.high) == pytest.approx((-comparison.high, -comparison.low))


def test_a_model_does_not_differ_from_itself_and_pairing_removes_the_luck_of_the_rows() -> None:
    labels, predictions, weights = rows(2000, 4)
    itself = paired_bootstrap(METRICS["roc_auc"], labels, predictions, predictions, weights)
    assert (itself.difference, itself.low, itself.high, itself.standard_error) == (0, 0, 0, 0)
    near = np.clip(predictions + np.random.default_rng(5).normal(0, 0.02, 2000), 0, 1)
    low, high = bootstrap_interval(METRICS["roc_auc"], labels, predictions, weights)
    paired = paired_bootstrap(METRICS["roc_auc"], labels, predictions, near, weights)
    assert paired.high - paired.low < (high - low) / 3


@pytest.mark.parametrize("name", sorted(METRICS))
def test_same_seed_same_interval(name: str) -> None:
    labels, predictions, weights = rows(300, 6)
    first, second, other = (bootstrap_interval(METRICS[name], labels, predictions, weights, seed) for seed in (1, 1, 2))
    assert first == second != other


def test_outputs_are_averaged_over_the_same_draws_of_the_rows() -> None:
    labels, predictions, weights = rows(400, 7)
    alone = bootstrap_interval(METRICS["roc_auc"], labels, predictions, weights)
    twice = bootstrap_interval(METRICS["roc_auc"], {"a": labels, "b": labels}, {"a": predictions, "b": predictions}, weights)
    assert twice == pytest.approx(alone)  # drawn apart, the average would vary less


def test_a_missing_label_leaves_the_row_out_for_its_output_only() -> None:
    labels, predictions, weights = rows(400, 8)
    holed = labels.copy()
    holed[100:] = np.nan
    mixed = paired_bootstrap(
        METRICS["roc_auc"],
        {"whole": labels, "holed": holed},
        {"whole": predictions, "holed": predictions},
        {"whole": predictions, "holed": 1 - predictions},
        weights,
    )
    score = METRICS["roc_auc"].score
    apart = score(labels[:100], predictions[:100], weights[:100]) - score(labels[:100], 1 - predictions[:100], weights[:100])
    assert mixed.difference == pytest.approx(apart / 2)


def test_rows_of_a_group_are_drawn_together() -> None:
    labels, predictions, weights = rows(300, 9)
    copies = 9
    repeated = [np.repeat(values, copies) for values in (labels, predictions, weights)]
    groups = np.repeat([f"client {number}" for number in range(300)], copies)
    low, high = bootstrap_interval(METRICS["roc_auc"], *repeated, groups=groups)
    alone = bootstrap_interval(METRICS["roc_auc"], labels, predictions, weights)
    naive = bootstrap_interval(METRICS["roc_auc"], *repeated)
    assert (low, high) == pytest.approx(alone, abs=0.02)
    assert high - low > 2 * (naive[1] - naive[0])


@pytest.mark.parametrize("labels", [np.zeros(50), np.array([1.0] + [0.0] * 49) * np.nan])
def test_rows_that_leave_the_metric_undefined_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(Undefined, match="50 rows"):
        bootstrap_interval(METRICS["roc_auc"], labels, np.linspace(0, 1, 50), np.ones(50))


@pytest.mark.parametrize("name", ["roc_auc", "pr_auc"])
def test_rows_are_sorted_once_for_all_resamples(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sorts, sort = [], np.argsort
    monkeypatch.setattr("registry.resampling.np.argsort", lambda *given, **named: sorts.append(1) or sort(*given, **named))
    bootstrap_interval(METRICS[name], *rows(500, 10))
    assert len(sorts) == 1
