"""What chance alone does to two samples of one population, so that a report of many columns keeps its false-alarm rate."""

from collections.abc import Iterator
from functools import lru_cache
from math import ceil

import numpy as np
from scipy.stats import hypergeom

from monitoring.columns import WASSERSTEIN, ColumnPair
from monitoring.distances import LEAST_DEVIATION, of_counts

FALSE_ALARMS = 0.05
"""Most reports on unchanged columns that flag any of them."""
_TESTS = 4
"""Of the data quality of a column: missing values, one value only, beyond the known range, new categories."""
_SPLITS_AT_ONCE = 100
_FIRST_SPLITS = 200
_CLEARLY = 3.0


def distance_level(columns: int) -> float:
    """Level at which each of `columns` distances is tested: half of the false alarms are theirs. Bonferroni's correction."""
    return FALSE_ALARMS / 2 / columns


def quality_level(columns: int) -> float:
    """Level of each test of data quality; the other half of the false alarms."""
    return FALSE_ALARMS / 2 / (columns * _TESTS)


def chance_threshold(pair: ColumnPair, score: float, floor: float, level: float, seed: int, spread: float = 1.0) -> float:
    """Distance from which a comparable pair of distance `score` counts as drifted.

    That is `floor`, or what chance gives at these sample sizes if that is more: the largest distance of 1/level - 1 random
    splits of all values into two sides of the same sizes. Where nothing has changed, a score exceeds them all with probability
    `level`, however heavy the tails and however small the window. A score below `floor` needs no splits, and they end early
    with the first that reaches the score, or when the score is three times the largest of the first 200. Where rows are not
    independent, their distances count `spread` times, see `monitoring.dependence`.
    Source: permutation test, Pitman, Significance Tests Which May Be Applied to Samples from Any Populations (1937).
    """
    largest = floor
    if score < floor:
        return largest
    for drawn, distances in _split_distances(pair, ceil(1 / level) - 1, seed):
        largest = max(largest, spread * float(distances.max()))
        if largest >= score:
            return float(np.nextafter(largest, np.inf))
        if drawn >= _FIRST_SPLITS and score >= _CLEARLY * largest:
            break
    return largest


def missing_threshold(pair: ColumnPair, floor: float, level: float, spread: float = 1.0) -> float:
    """Change of the share of missing values that counts: `floor`, or what chance gives, `spread` times, if that is more."""
    reference, current = pair.rows
    missing = reference + current - len(pair.reference) - len(pair.current)
    counts = hypergeom.ppf([level / 2, 1 - level / 2], reference + current, missing, current)
    changes = np.abs(counts / current - (missing - counts) / reference)
    return max(floor, float(np.nextafter(spread * changes.max(), 1)))


def chance_of_all(rows: int, pair: ColumnPair, elsewhere: int = 0) -> float:
    """Probability that of `rows` + `elsewhere` given ones of all known rows `rows` or more lie in the window by chance."""
    reference, current = len(pair.reference), len(pair.current)
    return float(hypergeom.sf(rows - 1, reference + current, rows + elsewhere, current)) if rows else 1.0


def _split_distances(pair: ColumnPair, splits: int, seed: int) -> Iterator[tuple[int, np.ndarray]]:
    """Distances of random splits in blocks, each with how many were drawn by then.

    Columns of the same sizes share their splits: each is judged by its own level, whatever the others do (Bonferroni).
    """
    pooled = np.concatenate([pair.reference, pair.current])
    ordered = _Ordered(np.sort(pooled)) if pair.method == WASSERSTEIN else None
    for start in range(0, splits, _SPLITS_AT_ONCE):
        count = min(_SPLITS_AT_ONCE, splits - start)
        if ordered is not None:
            sizes = len(pair.reference), len(pair.current)
            smaller = _subsets(len(pooled), min(sizes), count, (seed, start))
            yield start + count, ordered.distances(smaller, reference=sizes[0] <= sizes[1])
        else:
            counts = pair.counts(pooled)
            rng = np.random.default_rng((seed, start))
            sides = rng.multivariate_hypergeometric(counts, len(pair.reference), size=count)
            yield start + count, of_counts(pair.method, sides, counts - sides)


@lru_cache(maxsize=4)  # the first blocks, which most columns do with; some megabytes each
def _subsets(size: int, chosen: int, count: int, seed: tuple[int, int]) -> np.ndarray:
    """`count` random subsets of range(size), each ascending; shape (count, chosen)."""
    rng = np.random.default_rng(seed)
    return np.sort([rng.choice(size, chosen, replace=False, shuffle=False) for _ in range(count)], axis=1)


class _Ordered:
    """Sorted values of both sides together, from which the distance of any split follows by its smaller part.

    With F the distribution of all N values and G that of the n values of one side, that of the other is (N F - n G) / (N - n),
    so that the Wasserstein distance of the sides is N / (N - n) times the area between F and G. Between two neighbours of
    the side G is constant and F climbs evenly in rank, so that two running sums give the area without touching the others.
    """

    def __init__(self, values: np.ndarray) -> None:
        self._values = values
        gaps = np.diff(values)
        self._widths = values - values[0]
        self._areas = np.concatenate([[0.0], np.cumsum(gaps * np.arange(1, len(values)))]) / len(values)

    def distances(self, sides: np.ndarray, reference: bool) -> np.ndarray:
        """Distances in standard deviations of the reference; `sides` holds the positions of one side, ascending.

        Args:
            sides: shape (splits, n) → (splits,).
            reference: whether that side is the reference; if not, the others are.
        """
        size, chosen = len(self._values), sides.shape[1]
        edges = np.pad(sides, ((0, 0), (1, 1)), constant_values=((0, 0), (0, size - 1)))
        start, end = edges[:, :-1], edges[:, 1:]
        below = np.arange(chosen + 1)
        crossing = np.clip(below * size // chosen, start, end)
        level = below / chosen
        widths, areas = self._widths, self._areas
        over = level * (2 * widths[crossing] - widths[start] - widths[end])
        under = 2 * areas[crossing] - areas[start] - areas[end]
        deviations = np.maximum(self._deviations(sides, reference), LEAST_DEVIATION)
        return np.asarray((over - under).sum(axis=1) * size / (size - chosen) / deviations)

    def _deviations(self, sides: np.ndarray, reference: bool) -> np.ndarray:
        if reference:
            return np.asarray(self._values[sides].std(axis=1))
        others = np.ones((len(sides), len(self._values)), dtype=bool)
        np.put_along_axis(others, sides, False, axis=1)
        return np.asarray(np.broadcast_to(self._values, others.shape)[others].reshape(len(sides), -1).std(axis=1))
