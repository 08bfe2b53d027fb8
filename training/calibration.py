"""Calibration of probabilities: the map that helps most on held-out folds, if by more than its noise."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq, minimize
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold

from registry.outputs import Calibration, ClassScaling, Map, inverse_link, link

FOLDS = 5
FEWEST_PER_CLASS = 20
RIDGE = 1.0
"""How strongly a class is held to the temperature of all: as if factor and shift had come from a spread of 0.7 around it."""
VECTOR_ROWS = 100
"""Vector scaling is tried from so many rows a class on: with fewer, luck picks it."""
_SURE, _SURE_OF_CLASSES = 1.0, 1.645
"""Standard errors that a gain has to exceed. Maps of several classes gain less and lose more, so they have to show more."""
_KNOTS = 201
_FURTHEST_KNOT = 12.0
_FURTHEST_SHIFT = 80.0
"""Logits of clipped probabilities end at 35: moved so far they give any mean."""
_LEAST = 1e-15
_LARGEST_FACTOR = 20.0

Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], Map]
Losses = Callable[[np.ndarray, np.ndarray], np.ndarray]


def calibrate(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, seed: int) -> Map | None:
    """The calibration map that is best on held-out folds, None where no map is worth it.

    A map is worth it when it lowers the loss by more than the noise of the paired differences, and the Brier score with it. Of
    two classes the loss is the log loss, which notices when probabilities of a rare class are half too high, and shift, beta and
    isotonic calibration are tried; of several the Brier score, and temperature and vector scaling. What fits any shape, or each
    class, has to beat the simpler map by more than noise as well: few rows of a class prove little.

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
    methods: tuple[Fit, ...] = (shift, beta, isotonic)
    losses: Losses = log_losses
    sure, folds = _SURE, StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    if probabilities.ndim == 2:
        losses = squared_errors
        methods = (temperature, vector) if len(labels) >= VECTOR_ROWS * probabilities.shape[1] else (temperature,)
        sure, folds = _SURE_OF_CLASSES, KFold(FOLDS, shuffle=True, random_state=seed)  # a class may have fewer rows than folds
    if min(np.count_nonzero(labels == labels[0]), np.count_nonzero(labels != labels[0])) < FEWEST_PER_CLASS:
        return None
    best, least = None, losses(labels, probabilities)
    for fit in methods:
        held_out = np.empty_like(probabilities, dtype=np.float64)
        for train, test in folds.split(labels, labels):
            held_out[test] = fit(labels[train], probabilities[train], weights[train])(probabilities[test])
        gains = least - losses(labels, held_out)
        gain = float(np.average(gains, weights=weights))
        noise = float(np.sqrt(np.sum(weights**2 * (gains - gain) ** 2)) / weights.sum())
        brier = np.average(squared_errors(labels, probabilities) - squared_errors(labels, held_out), weights=weights)
        if gain > (sure * noise if best is None or fit in (isotonic, vector) else 0) and brier > 0:
            best, least = fit, losses(labels, held_out)
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


def log_losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The logarithmic loss of each row, of labels 0 or 1; shapes (rows,)."""
    return -np.log(np.maximum(np.where(labels == 1, probabilities, 1 - probabilities), _LEAST))


def shift(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> Calibration:
    """The same number added to every logit, so that the mean is the observed one: what few rows of a class can tell."""
    least = 1 / (len(labels) + 2)
    margins, observed = link("logit", probabilities), np.clip(np.average(labels, weights=weights), least, 1 - least)

    def excess(number: float) -> float:
        return float(np.average(inverse_link("logit", margins + number), weights=weights) - observed)

    knots = np.linspace(-_FURTHEST_KNOT, _FURTHEST_KNOT, _KNOTS)
    answers = inverse_link("logit", knots + brentq(excess, -_FURTHEST_SHIFT, _FURTHEST_SHIFT))
    return Calibration("shift", (0.0, *map(float, inverse_link("logit", knots)), 1.0), (0.0, *map(float, answers), 1.0))


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
    raw = inverse_link("logit", np.linspace(-_FURTHEST_KNOT, _FURTHEST_KNOT, _KNOTS))
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
