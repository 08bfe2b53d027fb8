"""What calibration promises: applied only where it lowers the Brier score, monotone, and close to the truth where it is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.calibration import beta, calibrate, isotonic


def overconfident(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores that exaggerate, and the true probabilities."""
    rng = np.random.default_rng(seed)
    margins = rng.normal(-1, 1, rows)
    truth = 1 / (1 + np.exp(-margins))
    return (rng.random(rows) < truth).astype(float), 1 / (1 + np.exp(-3 * margins)), truth


def test_exaggerated_probabilities_are_brought_near_the_truth() -> None:
    labels, scores, _ = overconfident(8000, 1)
    chosen = calibrate(labels, scores, np.ones(8000), seed=1)
    assert chosen is not None
    _, fresh_scores, fresh_truth = overconfident(8000, 2)
    assert np.abs(chosen(fresh_scores) - fresh_truth).mean() < 0.3 * np.abs(fresh_scores - fresh_truth).mean()


def test_probabilities_that_are_right_already_are_left_alone() -> None:
    labels, _, truth = overconfident(4000, 3)
    assert calibrate(labels, truth, np.ones(4000), seed=1) is None


def test_too_few_of_a_class_are_left_alone() -> None:
    labels, scores, _ = overconfident(200, 4)
    labels[:] = 0
    labels[:10] = 1
    assert calibrate(labels, scores, np.ones(200), seed=1) is None


@pytest.mark.parametrize("fit", [isotonic, beta])
@given(seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_a_calibration_map_rises_from_0_to_1_and_stays_between(fit, seed: int) -> None:
    labels, scores, _ = overconfident(300, seed)
    mapped = fit(labels, scores, np.ones(300))(np.linspace(0, 1, 501))
    assert mapped[0] == 0
    assert mapped[-1] == 1
    assert (np.diff(mapped) >= 0).all()
