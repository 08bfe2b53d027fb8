"""Seeded random streams and the few ways of drawing that every subject of the simulator shares."""

from typing import Any, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

RESOLUTION = 4096
DAY = 86_400


def stream(seed: int, *path: int) -> Generator:
    """The random numbers of one subject of one chunk; no other subject changes them."""
    return np.random.default_rng([seed, *path])


class Choices:
    """Draws from many discrete distributions at once, by looking up quantiles: a few nanoseconds a draw.

    `weights` has one distribution per row; a value's probability is exact to 1 / RESOLUTION.
    """

    def __init__(self, weights: ArrayLike) -> None:
        cumulative = np.cumsum(np.atleast_2d(np.asarray(weights, dtype=np.float64)), axis=1)
        levels = (np.arange(RESOLUTION) + 0.5) / RESOLUTION
        self._table = np.stack([np.searchsorted(row / row[-1], levels) for row in cumulative]).astype(np.int16)

    def draw(self, rng: Generator, rows: Ints) -> Ints:
        """One value for each of `rows` (row numbers of the weights)."""
        return self._table[rows, rng.integers(RESOLUTION, size=len(rows))].astype(np.int64)

    def draw_many(self, rng: Generator, size: int) -> Ints:
        """`size` values of the only (first) distribution."""
        return self._table[0, rng.integers(RESOLUTION, size=size)].astype(np.int64)


def chance(rng: Generator, probability: float | Floats, size: int | tuple[int, ...]) -> Flags:
    """True with the given probability, independently."""
    return rng.random(size) < probability


def noise(rng: Generator, sigma: float, size: int | tuple[int, ...]) -> Floats:
    """Multiplicative noise: the exponential of a normal with this sigma, median 1."""
    return np.exp(sigma * rng.standard_normal(size))


def sigmoid(logit: Floats) -> Floats:
    """Probability of a log-odds."""
    return 1 / (1 + np.exp(-logit))


def spread(counts: Ints) -> tuple[Ints, Ints]:
    """For a (clients, months) matrix of counts, the client and the month of each single event."""
    cells = np.repeat(np.arange(counts.size), counts.ravel())
    return cells // counts.shape[1], cells % counts.shape[1]
