"""How sure a metric is: bootstrap intervals of one model's figure, and of the difference of two models on the same rows.

Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13 (percentile intervals). Rows are drawn with
replacement; what a draw gives is how often each row counts, which multiplies the row's weight in the metric.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from registry.metrics import Metric
from registry.resampling import Reweighted, reweighted

Columns = np.ndarray | Mapping[str, np.ndarray]
"""Labels or predictions: an array of one output, or arrays by output name, rows in the same order throughout."""


class Undefined(ValueError):
    """The metric has no value on these rows, e.g. labels of a single class: bring rows of both."""


@dataclass(frozen=True)
class Comparison:
    """By how much the first model is better than the second (positive = better), with its uncertainty.

    Attributes:
        difference: on the rows as they are, in the metric's units and good direction.
        low, high: two-sided percentile bounds.
        standard_error: standard deviation over the replicates.
    """

    difference: float
    low: float
    high: float
    standard_error: float


def bootstrap_interval(
    metric: Metric,
    labels: Columns,
    predictions: Columns,
    weights: np.ndarray,
    seed: int = 0,
    replicates: int = 200,
    level: float = 0.9,
    groups: np.ndarray | None = None,
) -> tuple[float, float]:
    """The percentile interval of a metric; of several outputs, of their average, with rows resampled for all of them jointly.

    Args:
        metric: what is estimated.
        labels: shape (rows,); a missing label leaves the row out for that output.
        predictions: shape (rows,), or (rows, classes).
        weights: weight of each row in the metric, shape (rows,).
        seed: same seed and rows, same interval.
        replicates: how often the rows are drawn.
        level: share of the replicates inside the bounds.
        groups: whole groups of rows are drawn instead of rows, e.g. all rows of a client; any values that compare.

    Raises:
        Undefined: the metric has no value on these rows.
    """
    score = _average(metric, labels, predictions)
    drawn = _replicates([score], np.asarray(weights, dtype=np.float64), groups, seed, replicates)
    low, high = _bounds(drawn[:, 0], level)
    return low, high


def paired_bootstrap(
    metric: Metric,
    labels: Columns,
    first: Columns,
    second: Columns,
    weights: np.ndarray,
    seed: int = 0,
    replicates: int = 200,
    level: float = 0.9,
    groups: np.ndarray | None = None,
) -> Comparison:
    """How much better the predictions `first` are than `second`, both scored on the very same draws of the rows.

    Pairing removes the luck of the rows that both models share, so that small true differences show. Arguments and errors as in
    `bootstrap_interval`.
    """
    weights = np.asarray(weights, dtype=np.float64)
    scores = [_average(metric, labels, first), _average(metric, labels, second)]
    sign = 1.0 if metric.greater_is_better else -1.0
    drawn = _replicates(scores, weights, groups, seed, replicates)
    differences = sign * (drawn[:, 0] - drawn[:, 1])
    low, high = _bounds(differences, level)
    return Comparison(sign * (scores[0](weights) - scores[1](weights)), low, high, float(np.std(differences, ddof=1)))


def _average(metric: Metric, labels: Columns, predictions: Columns) -> Reweighted:
    """The metric's average over the outputs as a function of the weights of all rows."""
    if not isinstance(labels, Mapping) or not isinstance(predictions, Mapping):
        labels, predictions = {"": np.asarray(labels)}, {"": np.asarray(predictions)}
    parts: list[tuple[np.ndarray | slice, Reweighted]] = []
    for output, values in labels.items():
        truth = np.asarray(values, dtype=np.float64)
        known = ~np.isnan(truth)
        if not known.any():
            raise Undefined(f"none of {len(truth)} rows has a label {output}".rstrip())
        score = reweighted(metric, truth[known], np.asarray(predictions[output])[known])
        parts.append((slice(None) if known.all() else known, score))
    if len(parts) == 1:
        (rows, score), *_ = parts
        return lambda weights: score(weights[rows])
    return lambda weights: float(np.mean([score(weights[rows]) for rows, score in parts]))


def _replicates(
    scores: list[Callable[[np.ndarray], float]], weights: np.ndarray, groups: np.ndarray | None, seed: int, replicates: int
) -> np.ndarray:
    """Scores on every draw on which all of them are defined, shape (replicates, scores)."""
    counts = _counts(len(weights), groups, seed, replicates)
    with np.errstate(invalid="ignore"):  # a draw without any weight gives 0/0, which is left out below
        drawn = np.array([[score(weights * count) for score in scores] for count in counts])
    defined = drawn[np.isfinite(drawn).all(axis=1)]
    if len(defined) < max(2, replicates // 2):
        raise Undefined(
            f"the metric has a value on {len(defined)} of {replicates} draws of these {len(weights)} rows: "
            "too few rows, or nearly all labels alike"
        )
    return defined


def _counts(rows: int, groups: np.ndarray | None, seed: int, replicates: int) -> Iterator[np.ndarray]:
    """How often each row was drawn, one array (rows,) for each replicate."""
    generator = np.random.default_rng(seed)
    member = None if groups is None else np.unique(groups, return_inverse=True)[1]
    units = rows if member is None else int(member.max()) + 1
    for _ in range(replicates):
        count = np.bincount(generator.integers(0, units, units, dtype=np.int32), minlength=units).astype(np.float64)
        yield count if member is None else count[member]


def _bounds(values: np.ndarray, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
