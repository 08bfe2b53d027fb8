"""Noised parts and wholes made to agree: least squares, then the nearest numbers that are not negative and whole.

All of it is post-processing of noised numbers, which costs no privacy. The weights are those of the best linear unbiased
estimate (Hay et al., "Boosting the Accuracy of Differentially Private Histograms Through Consistency", 2010); the projection
is that of Duchi et al., "Efficient Projections onto the l1-Ball", 2008.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from consent_api.reports.template import Estimate, Vector

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Noisy:
    """Numbers of shape (cells, width) whose cells are all parts of the same whole, and the noise of each."""

    values: Floats
    deviation: float


def consistent(by_segment: Mapping[str, Noisy]) -> dict[str, list[Estimate]]:
    """The cells of every segment such that each adds up to the same whole, none is negative and all are whole numbers.

    The deviations are those of the least-squares step; the steps after it only bring numbers closer to what is possible.
    """
    weights = {name: 1 / (len(each.values) * each.deviation**2) for name, each in by_segment.items()}
    precision = sum(weights.values())
    sums = [weights[name] * each.values.sum(axis=0) for name, each in by_segment.items()]
    whole = np.rint(np.maximum(np.sum(sums, axis=0) / precision, 0)).astype(np.int64)
    return {name: _parts(each, whole, 1 / precision) for name, each in by_segment.items()}


def _parts(noisy: Noisy, whole: Vector, variance: float) -> list[Estimate]:
    cells = len(noisy.values)
    moved = noisy.values + (whole - noisy.values.sum(axis=0)) / cells
    columns = [_rounded(_projected(column, int(total)), int(total)) for column, total in zip(moved.T, whole, strict=True)]
    deviation = math.sqrt(noisy.deviation**2 * (1 - 1 / cells) + variance / cells**2)
    return [Estimate(row, deviation) for row in np.stack(columns, axis=1)]


def _projected(values: Floats, total: int) -> Floats:
    """The nearest numbers that are not negative and add up to `total`."""
    falling = np.sort(values)[::-1]
    excess = (np.cumsum(falling) - total) / np.arange(1, len(values) + 1)
    kept = int(np.flatnonzero(falling - excess >= 0)[-1])
    return np.maximum(values - excess[kept], 0)


def _rounded(values: Floats, total: int) -> Vector:
    """Whole numbers that add up to `total`, by largest remainders."""
    whole = np.floor(values).astype(np.int64)
    missing = total - int(whole.sum())
    whole[np.argsort(whole - values, kind="stable")[:missing]] += 1
    return whole
