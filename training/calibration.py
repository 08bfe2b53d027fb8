"""Calibration of probabilities: the map that lowers the Brier score most on held-out folds, if by more than its noise."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold

from registry.outputs import Calibration, ClassScaling, inverse_link, link

FOLDS = 5
FEWEST_PER_CLASS = 20
RIDGE = 1.0
"""How strongly a class is held to the temperature of all: as if factor and shift had come from a spread of 0.7 around it."""
VECTOR_ROWS = 100
"""Vector scaling is tried from so many rows a class on: with fewer, luck picks it."""
_SURE, _SURE_OF_CLASSES = 1.0, 1.645
"""Standard errors that a gain has to exceed. Maps of several classes gain less and lose more, so they have to show more."""
_KNOTS = 201
_LARGEST_FACTOR = 20.0

Map = Calibration | ClassScaling
Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], Map]


def calibrate(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, seed: int) -> Map | None:
    """The calibration map with the least Brier score on held-out folds, None where no map is worth it.

    A map is worth it when it lowers the mean squared error, added up over the classes, by more than the noise of the paired
    differences. Of two classes isotonic and beta calibration are tried, of several temperature and, of many rows, vector scaling.

    Args:
        labels: 0 or 1, or codes of classes, of rows that the model was not fitted on, shape (rows,).
        probabilities: raw ones of the same rows, shape (rows,), of several classes (rows, classes).
        weights: of the rows.
        seed: of the folds.
    """
    counting = weights > 0
    labels, probabilities, weights = labels[counting], probabilities[counting], weights[counting]
    if not len(labels):
        return None
    methods: tuple[Fit, ...] = (isotonic, beta)
    sure, folds = _SURE, StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    if probabilities.ndim == 2:
        methods = (temperature, vector) if len(labels) >= VECTOR_ROWS * probabilities.shape[1] else (temperature,)
        sure, folds = _SURE_OF_CLASSES, KFold(FOLDS, shuffle=True, random_state=seed)  # a class may have fewer rows than folds
    if min(np.count_nonzero(labels == labels[0]), np.count_nonzero(labels != labels[0])) < FEWEST_PER_CLASS:
        return None
    raw = squared_errors(labels, probabilities)
    best, best_gain = None, 0.0
    for fit in methods:
        held_out = np.empty_like(probabilities, dtype=np.float64)
        for train, test in folds.split(labels, labels):
            held_out[test] = fit(labels[train], probabilities[train], weights[train])(probabilities[test])
        gains = raw - squared_errors(labels, held_out)
        gain = float(np.average(gains, weights=weights))
        noise = float(np.sqrt(np.sum(weights**2 * (gains - gain) ** 2)) / weights.sum())
        if gain > max(best_gain, sure * noise):
            best, best_gain = fit, gain
    return None if best is None else best(labels, probabilities, weights)


def squared_errors(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The Brier score of each row, summed over the classes where there are several (Brier, 1950): 0 = perfect, at most 1 or 2.

    Args:
        labels: 0 or 1, or codes of classes, shape (rows,).
        probabilities: shape (rows,), of several classes (rows, classes).
    """
    if probabilities.ndim == 1:
        return (probabilities - labels) ** 2
    return np.sum((probabilities - np.eye(probabilities.shape[1])[labels.astype(int)]) ** 2, axis=1)


def isotonic(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> Calibration:
    """Centred isotonic regression: pooled adjacent violators, straight lines between the middles of the pools.

    The lines, and ends at 0 and 1, keep different scores different, so that a ranking loses nothing; and no number of rows proves
    that something never or always happens, so that no pool is at 0 or 1.
    Source: Oron & Flournoy, Centered Isotonic Regression (2017).
    """
    least = 1 / (len(labels) + 2)
    # Scores within rounding of each other are one to it, so that the greatest may lie outside of what it has seen.
    fitted = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip").fit(probabilities, labels, weights)
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


def temperature(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> ClassScaling:
    """Temperature scaling: one factor for the margins of all classes, by maximum likelihood."""
    factors, shifts = _scaled(labels, probabilities, weights, ridge=np.inf)
    return ClassScaling("temperature", factors, shifts)


def vector(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> ClassScaling:
    """Vector scaling: a factor and a shift for each class, which few rows of it keep near the temperature of all.

    Source of the penalty: Berta, Holzmüller, Jordan, Bach, Structured matrix scaling for multi-class calibration (2025).
    """
    factors, shifts = _scaled(labels, probabilities, weights, ridge=RIDGE)
    return ClassScaling("vector", factors, shifts)


def _scaled(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, ridge: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Factors exp(t + v) and shifts b of least log loss + ridge / rows × (|v|² + |b|²); an infinite ridge leaves t alone."""
    rows, classes = probabilities.shape
    margins, truth = link("softmax", probabilities), np.eye(classes)[labels.astype(int)]
    shares = (weights / weights.sum())[:, None]
    penalty = ridge / rows if np.isfinite(ridge) else 0.0
    free = 2 * classes if np.isfinite(ridge) else 0

    def loss(found: np.ndarray) -> tuple[float, np.ndarray]:
        own = np.append(found[1:], np.zeros(2 * classes - free))
        factors, shifts = np.exp(found[0] + own[:classes]), own[classes:]
        answers = inverse_link("softmax", margins * factors + shifts)
        slopes = shares * (answers - truth)
        by_factor = np.sum(slopes * margins * factors, axis=0)
        slope = np.concatenate([[by_factor.sum()], (np.append(by_factor, slopes.sum(axis=0)) + 2 * penalty * own)[:free]])
        fit = -float(np.sum(shares * truth * link("softmax", answers)))
        return fit + penalty * float(own @ own), slope

    bound = np.log(_LARGEST_FACTOR)
    best = minimize(loss, np.zeros(1 + free), jac=True, method="L-BFGS-B", bounds=[(-bound, bound)] + [(None, None)] * free).x
    own = np.append(best[1:], np.zeros(2 * classes - free))
    return tuple(map(float, np.exp(best[0] + own[:classes]))), tuple(map(float, own[classes:]))
