"""Calibration of probabilities: isotonic or beta, only where it lowers the Brier score by more than its noise."""

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from registry.outputs import Calibration

FOLDS = 5
FEWEST_PER_CLASS = 20
_KNOTS = 201


def calibrate(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, seed: int) -> Calibration | None:
    """The calibration map with the least Brier score on held-out folds, None where no map is worth it.

    A map is worth it when it lowers the mean squared error by more than one standard error of the paired differences.

    Args:
        labels: 0 or 1, of rows that the model was not fitted on, shape (rows,).
        probabilities: raw ones of the same rows.
        weights: of the rows.
        seed: of the folds.
    """
    if min(np.count_nonzero(labels == 0), np.count_nonzero(labels == 1)) < FEWEST_PER_CLASS:
        return None
    raw = (probabilities - labels) ** 2
    best, best_gain = None, 0.0
    for method, fit in (("isotonic", isotonic), ("beta", beta)):
        held_out = np.empty_like(raw)
        for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(labels, labels):
            held_out[test] = fit(labels[train], probabilities[train], weights[train])(probabilities[test])
        gains = raw - (held_out - labels) ** 2
        gain = float(np.average(gains, weights=weights))
        noise = float(np.sqrt(np.sum(weights**2 * (gains - gain) ** 2)) / weights.sum())
        if gain > max(best_gain, noise):
            best, best_gain = method, gain
    return None if best is None else {"isotonic": isotonic, "beta": beta}[best](labels, probabilities, weights)


def isotonic(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> Calibration:
    """Centred isotonic regression: pooled adjacent violators, straight lines between the middles of the pools.

    The lines, and ends at 0 and 1, keep different scores different, so that a ranking loses nothing.
    Source: Oron & Flournoy, Centered Isotonic Regression (2017).
    """
    fitted = IsotonicRegression(y_min=0, y_max=1).fit(probabilities, labels, weights)
    levels = fitted.predict(probabilities)
    middles = [
        (float(np.average(probabilities[pool], weights=weights[pool])), float(level))
        for level in np.unique(levels)
        for pool in (levels == level,)
    ]
    knots = [(0.0, 0.0), *((raw, level) for raw, level in middles if 0 < raw < 1), (1.0, 1.0)]
    return Calibration("isotonic", tuple(raw for raw, _ in knots), tuple(level for _, level in knots))


def beta(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> Calibration:
    """Beta calibration: logit of the answer = a ln p - b ln(1 - p) + c with a, b >= 0.

    Source: Kull, Silva Filho, Flach, Beyond sigmoids (2017).
    """
    clipped = np.clip(probabilities, 1e-12, 1 - 1e-12)
    sides = np.column_stack([np.log(clipped), -np.log1p(-clipped)])
    used = [0, 1]
    model = LogisticRegression(C=1e6, max_iter=1000).fit(sides, labels, weights)
    if (model.coef_[0] < 0).any():  # the map must not fall: drop the side that would make it
        used = [int(np.argmax(model.coef_[0]))]
        model = LogisticRegression(C=1e6, max_iter=1000).fit(sides[:, used], labels, weights)
    raw = 1 / (1 + np.exp(-np.linspace(-12, 12, _KNOTS)))
    answers = model.predict_proba(np.column_stack([np.log(raw), -np.log1p(-raw)])[:, used])[:, 1]
    return Calibration("beta", (0.0, *map(float, raw), 1.0), (0.0, *map(float, np.maximum.accumulate(answers)), 1.0))
