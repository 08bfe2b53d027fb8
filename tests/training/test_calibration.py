"""What calibration promises: applied only where it lowers loss and Brier score, monotone, and close to the truth where it is."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.outputs import Calibration, Lacking, Member, Output, inverse_link, read_output
from training.calibration import beta, calibrate, isotonic, shift, temperature, vector


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


def rare(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of which 2 % are 1, scores whose odds are 1.35 times too high, and the true probabilities."""
    rng = np.random.default_rng(seed)
    margins = rng.normal(-4.3, 1, rows)
    labels = (rng.random(rows) < inverse_link("logit", margins)).astype(float)
    return labels, inverse_link("logit", margins + np.log(1.35)), inverse_link("logit", margins)


@pytest.mark.parametrize("seed", range(4, 8))
def test_a_rare_class_that_is_stated_a_third_too_high_is_noticed(seed: int) -> None:
    labels, scores, _ = rare(12_000, seed)
    chosen = calibrate(labels, scores, np.ones(12_000), seed=1)
    assert chosen is not None
    _, fresh, truth = rare(50_000, 10 + seed)
    assert fresh.mean() / truth.mean() > 1.3
    assert chosen(fresh).mean() / truth.mean() == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("extreme", [0.0, 1.0])
def test_a_shift_reaches_any_mean(extreme: float) -> None:
    labels = np.full(50, 1 - extreme)
    assert shift(labels, np.full(50, extreme), np.ones(50))(np.array([0.5]))[0] == pytest.approx(1 - extreme, abs=0.1)


def test_probabilities_that_are_right_already_are_left_alone() -> None:
    labels, _, truth = overconfident(4000, 3)
    assert calibrate(labels, truth, np.ones(4000), seed=1) is None


def test_too_few_of_a_class_are_left_alone() -> None:
    labels, scores, _ = overconfident(200, 4)
    labels[:] = 0
    labels[:10] = 1
    assert calibrate(labels, scores, np.ones(200), seed=1) is None


@pytest.mark.parametrize("fit", [isotonic, beta, shift])
@given(seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_a_calibration_map_rises_from_0_to_1_and_stays_between(fit, seed: int) -> None:
    labels, scores, _ = overconfident(300, seed)
    mapped = fit(labels, scores, np.ones(300))(np.linspace(0, 1, 501))
    assert mapped[0] == 0
    assert mapped[-1] == 1
    assert (np.diff(mapped) >= 0).all()


@given(seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_isotonic_calibration_calls_nothing_impossible_or_certain_and_keeps_different_scores_different(seed: int) -> None:
    labels, scores, _ = overconfident(300, seed)
    mapped = isotonic(labels, scores, np.ones(300))(np.linspace(0.001, 0.999, 501))
    assert ((mapped > 0) & (mapped < 1)).all()
    assert mapped[0] < mapped[250] < mapped[-1]
    assert (np.diff(mapped[:5]) > 0).all()


def test_scores_within_rounding_of_each_other_are_calibrated_too() -> None:
    scores = np.array([4.914718462712931e-16, 1.5225765727e-15, 1.4981366936e-15, 1.59670598e-15] * 20)
    mapped = isotonic(np.zeros(80), scores, np.ones(80))(scores)
    assert ((mapped > 0) & (mapped < 1)).all()


def of_classes(rows: int, seed: int, sharpness: float = 2.5, skew: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes of four classes, scores that exaggerate and favour the last class, and the true probabilities."""
    rng = np.random.default_rng(seed)
    margins = rng.normal([1.0, 0.5, 0.0, -1.0], 1, (rows, 4))
    truth = inverse_link("softmax", margins)
    labels = (truth.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1).clip(max=3).astype(float)
    return labels, inverse_link("softmax", sharpness * margins + skew * np.arange(4)), truth


def brier(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return float(np.mean(np.sum((probabilities - np.eye(4)[labels.astype(int)]) ** 2, axis=1)))


@pytest.mark.parametrize(("skew", "method"), [(0.0, "temperature"), (1.0, "vector")])
def test_exaggerated_probabilities_of_classes_are_brought_near_the_truth(skew: float, method: str) -> None:
    labels, scores, _ = of_classes(4000, 1, skew=skew)
    chosen = calibrate(labels, scores, np.ones(4000), seed=1)
    assert chosen is not None
    assert chosen.method == method
    _, fresh, truth = of_classes(4000, 2, skew=skew)
    assert np.abs(chosen(fresh) - truth).mean() < 0.1 * np.abs(fresh - truth).mean()


def test_a_factor_for_each_class_is_not_tried_on_few_rows() -> None:
    labels, scores, _ = of_classes(399, 1, skew=1.0)
    chosen = calibrate(labels, scores, np.ones(399), seed=1)
    assert chosen is not None
    assert chosen.method == "temperature"


@given(seed=st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_on_rows_it_has_not_seen_the_brier_score_of_classes_falls(seed: int) -> None:
    labels, scores, _ = of_classes(600, seed)
    chosen = calibrate(labels, scores, np.ones(600), seed=seed)
    fresh_labels, fresh, _ = of_classes(4000, seed + 1)
    assert chosen is not None
    assert brier(fresh_labels, chosen(fresh)) < brier(fresh_labels, fresh)


def test_probabilities_of_classes_that_are_right_already_are_left_alone() -> None:
    labels, right, _ = of_classes(3000, 3, sharpness=1.0)
    assert calibrate(labels, right, np.ones(3000), seed=1) is None


@pytest.mark.parametrize("fit", [temperature, vector])
@given(seed=st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_calibrated_classes_add_up_to_1_and_each_rises_with_its_own_probability(fit, seed: int) -> None:
    labels, scores, _ = of_classes(300, seed, skew=0.5)
    labels[labels == 3] = 2.0  # a class that no row has
    scaling = fit(labels, scores, np.ones(300))
    _, fresh, _ = of_classes(200, seed + 1, skew=0.5)
    calibrated = scaling(fresh)
    np.testing.assert_allclose(calibrated.sum(axis=1), 1, rtol=1e-12)
    assert ((calibrated >= 0) & (calibrated <= 1)).all()
    raised = fresh * [1.0, 2.0, 1.0, 1.0]
    assert (scaling(raised / raised.sum(axis=1, keepdims=True))[:, 1] > calibrated[:, 1]).all()
    np.testing.assert_allclose(scaling(fresh[0]), calibrated[0], rtol=1e-12)
    assert np.isfinite(scaling(np.eye(4))).all()


@given(seed=st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_one_temperature_leaves_the_order_of_the_classes_in_every_row(seed: int) -> None:
    labels, scores, _ = of_classes(300, seed)
    _, fresh, _ = of_classes(200, seed + 1)
    np.testing.assert_array_equal(np.argsort(temperature(labels, scores, np.ones(300))(fresh)), np.argsort(fresh))


def test_rows_without_weight_are_as_if_they_were_not_there() -> None:
    labels, scores, _ = overconfident(2000, 7)
    some = np.random.default_rng(1).random(2000) < 0.5
    found = calibrate(labels, scores, np.where(some, 2.0, 0.0), seed=1)
    assert found == calibrate(labels[some], scores[some], np.full(some.sum(), 2.0), seed=1)
    assert found is not None
    assert calibrate(labels, scores, np.zeros(2000), seed=1) is None


def test_classes_without_weight_do_not_count() -> None:
    labels, scores, _ = of_classes(800, 6)
    twisted, weights = np.append(labels, 3 - labels), np.append(np.ones(800), np.zeros(800))
    found, alone = temperature(twisted, np.tile(scores, (2, 1)), weights), temperature(labels, scores, np.ones(800))
    assert found.factors == pytest.approx(alone.factors, rel=1e-4)


@pytest.mark.parametrize("fit", [isotonic, beta, shift, temperature, vector])
def test_a_map_is_the_same_after_it_was_written_as_json(fit) -> None:
    labels, scores, _ = overconfident(300, 5) if fit in (isotonic, beta, shift) else of_classes(300, 5)
    found = fit(labels, scores, np.ones(300))
    for lacking in (None, Lacking((1, 3), None), Lacking((1, 3), found)):
        output = Output("y", "logit", (Member("lightgbm", "a.txt", 1.0),), calibration=found, lacking=lacking)
        assert read_output(json.loads(json.dumps(asdict(output)))) == output


def test_a_version_with_one_map_for_all_rows_is_read_as_before() -> None:
    output = Output("y", "logit", (Member("lightgbm", "a.txt", 1.0),), calibration=Calibration("beta", (0.0, 1.0), (0.0, 0.5)))
    stored = asdict(output)
    del stored["lacking"]
    assert read_output(json.loads(json.dumps(stored))) == output
