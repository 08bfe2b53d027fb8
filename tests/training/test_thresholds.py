"""What thresholds promise: the cheapest decision there is, capacity kept, levels in order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.thresholds import CostMatrix, approval_threshold, capacity_threshold, cheapest_threshold, risk_thresholds

PROBABILITIES = st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.5, 0.5000001, 0.9, 1.0]), min_size=2, max_size=60)
COSTS = st.integers(-5, 60).map(float)


def total(labels: np.ndarray, acted: np.ndarray, costs: CostMatrix) -> float:
    """Cost of acting on some rows, straight from the definition."""
    each = np.where(acted, np.where(labels == 1, costs.hit, costs.false_alarm), np.where(labels == 1, costs.miss, costs.pass_))
    return float(each.sum())


@given(PROBABILITIES, st.integers(0, 2**31), COSTS, COSTS, COSTS, COSTS)
def test_the_cheapest_threshold_equals_brute_force(
    scores: list[float], seed: int, hit: float, alarm: float, miss: float, passed: float
) -> None:
    probabilities = np.array(scores)
    labels = np.random.default_rng(seed).integers(0, 2, len(scores)).astype(float)
    costs = CostMatrix(hit, alarm, miss, passed)
    chosen = cheapest_threshold(labels, probabilities, costs)
    everywhere = [total(labels, probabilities >= border, costs) for border in (*scores, 2.0)]
    assert total(labels, probabilities >= chosen, costs) == min(everywhere)


@given(PROBABILITIES, st.floats(0.001, 1))
def test_no_more_rows_than_the_capacity_reach_its_threshold_and_no_lower_one_would_do(scores: list[float], share: float) -> None:
    probabilities = np.array(scores)
    chosen = capacity_threshold(probabilities, share)
    allowed = int(share * len(scores))
    assert np.sum(probabilities >= chosen) <= allowed
    lower = [border for border in scores if border < chosen]
    assert all(np.sum(probabilities >= border) > allowed for border in lower)


@given(st.lists(st.floats(0, 1), min_size=30, max_size=200), st.integers(0, 2**31))
def test_risk_thresholds_are_ordered_and_the_review_capacity_is_kept(probabilities: list[float], seed: int) -> None:
    scores = np.array(probabilities)
    labels = (np.random.default_rng(seed).random(len(scores)) < 0.1).astype(float)
    levels = risk_thresholds(labels, scores, CostMatrix(hit=1, false_alarm=1, miss=60), review_capacity=0.1)
    assert levels["medium"] <= levels["high"]
    assert np.mean(scores >= levels["high"]) <= 0.1


def test_the_approval_threshold_agrees_with_the_bank_most_often() -> None:
    rng = np.random.default_rng(2)
    scores = rng.random(500)
    labels = (scores + rng.normal(0, 0.2, 500) > 0.7).astype(float)
    chosen = approval_threshold(labels, scores)["approve"]
    agreement = np.mean((scores >= chosen) == labels)
    assert agreement == max(np.mean((scores >= other) == labels) for other in scores)
