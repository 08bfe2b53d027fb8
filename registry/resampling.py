"""Metrics of reweighted rows: what does not depend on the weights is computed once, so that a resample costs one pass."""

from collections.abc import Callable

import numpy as np

from registry.metrics import METRICS, Metric

Reweighted = Callable[[np.ndarray], float]
"""From the weight of each row, shape (rows,), to the metric; NaN where the weights leave it undefined, e.g. one class only."""


def reweighted(metric: Metric, labels: np.ndarray, predictions: np.ndarray) -> Reweighted:
    """The metric of fixed labels and predictions as a function of the row weights.

    Args:
        metric: one of `METRICS` is prepared (sorted, or its losses computed) once; any other is called for every weighting.
        labels: shape (rows,), none missing; class codes for a multiclass output.
        predictions: shape (rows,), or (rows, classes) for a multiclass output.
    """
    name = next((name for name, known in METRICS.items() if known is metric), "")
    if name in _RANKED:
        return _ranked(_RANKED[name], labels, np.asarray(predictions, dtype=np.float64))
    if name in _LOSSES:
        loss = _LOSSES[name](labels, np.asarray(predictions, dtype=np.float64))
        return lambda weights: float(np.dot(weights, loss) / weights.sum())
    if name == "rmse":
        squared = (labels - predictions) ** 2
        return lambda weights: float(np.sqrt(np.dot(weights, squared) / weights.sum()))
    return lambda weights: metric.score(labels, predictions, weights)


def _log_loss(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Negative log-likelihood of each row, with probabilities kept a rounding error away from 0 and 1."""
    if predictions.ndim == 1:
        predictions = np.column_stack([1 - predictions, predictions])
    probabilities = predictions[np.arange(len(labels)), labels.astype(np.int64)]
    epsilon = np.finfo(np.float64).eps
    return -np.log(np.clip(probabilities, epsilon, 1 - epsilon))


_LOSSES = {"wmae": lambda labels, predictions: np.abs(labels - predictions), "log_loss": _log_loss}


def _ranked(area: Callable[[np.ndarray, np.ndarray], float], labels: np.ndarray, predictions: np.ndarray) -> Reweighted:
    """A ranking metric; of several classes, the mean over those that occur, each against the rest."""
    if predictions.ndim == 1:
        return _one_ranking(area, labels, predictions)
    parts = [_one_ranking(area, labels == code, predictions[:, code]) for code in range(predictions.shape[1])]

    def mean(weights: np.ndarray) -> float:
        areas = [part(weights) for part in parts]
        defined = [value for value in areas if not np.isnan(value)]
        return float(np.mean(defined)) if defined else float("nan")

    return mean


def _one_ranking(area: Callable[[np.ndarray, np.ndarray], float], labels: np.ndarray, predictions: np.ndarray) -> Reweighted:
    order = np.argsort(-predictions, kind="stable")
    ranked = predictions[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)  # last row of each tied score
    tied = len(ends) < len(ranked)
    positive = np.asarray(labels, dtype=np.float64)[order]
    negative = 1 - positive

    def score(weights: np.ndarray) -> float:
        mass = weights[order]
        hits = np.cumsum(mass * positive)
        alarms = np.cumsum(mass * negative)
        return area(hits[ends], alarms[ends]) if tied else area(hits, alarms)

    return score


def _roc_area(hits: np.ndarray, alarms: np.ndarray) -> float:
    """Area under the ROC curve by trapezoids, from the cumulative mass of positives and negatives by falling score."""
    if hits[-1] <= 0 or alarms[-1] <= 0:
        return float("nan")
    steps = _gains(alarms)
    heights = hits - _gains(hits) / 2
    return float(np.dot(steps, heights) / (hits[-1] * alarms[-1]))


def _average_precision(hits: np.ndarray, alarms: np.ndarray) -> float:
    """Sum of the precision at each score times the recall it adds, from the same cumulative masses."""
    if hits[-1] <= 0:
        return float("nan")
    taken = hits + alarms
    precision = np.divide(hits, taken, out=np.zeros_like(hits), where=taken > 0)
    return float(np.dot(_gains(hits), precision) / hits[-1])


def _gains(cumulative: np.ndarray) -> np.ndarray:
    """What each place adds to a cumulative sum that begins at 0: `np.diff` with `prepend`, in a third of its time."""
    gains = np.empty_like(cumulative)
    gains[0] = cumulative[0]
    np.subtract(cumulative[1:], cumulative[:-1], out=gains[1:])
    return gains


_RANKED = {"roc_auc": _roc_area, "pr_auc": _average_precision}
