"""How far two sides of a column lie apart, by the definitions of Evidently's drift methods, and what sampling adds."""

import numpy as np
from scipy.spatial.distance import jensenshannon

from monitoring.columns import JENSEN_SHANNON, WASSERSTEIN, ColumnPair

LEAST_DEVIATION = 0.001  # as in Evidently: a constant column must not divide by zero
_LEAST_SHARE = 0.0001
"""What an absent category counts in the PSI, as in Evidently as long as no category is rarer than that."""
_GROUPS = 10


def distance(pair: ColumnPair) -> float:
    """The distance of a comparable pair by its method; 0 = the same distribution."""
    if pair.method == WASSERSTEIN:
        return _area_between(pair.reference, pair.current) / _deviation(pair)
    return float(of_counts(pair.method, pair.counts(pair.reference), pair.counts(pair.current)))


def sampling_error(pair: ColumnPair, total: int, seed: int) -> float:
    """Standard error that the distance has because `total` rows of the window were sampled; 0 when all were taken.

    By leaving out a tenth of the sample in turn. Source: Wolter, Introduction to Variance Estimation (2007), chapter 4, the
    delete-a-group jackknife; with the finite population correction.
    """
    sampled, known = pair.rows[1], pair.current
    if sampled >= total or len(known) < _GROUPS:
        return 0.0
    replicates = _without_each(pair, np.random.default_rng(seed).permutation(len(known)) % _GROUPS)
    variance = (_GROUPS - 1) / _GROUPS * ((replicates - replicates.mean()) ** 2).sum()
    return float(np.sqrt(variance * (1 - sampled / total)))


def of_counts(method: str, reference: np.ndarray, current: np.ndarray) -> np.ndarray:
    """Distances between counts of categories, shape (…, categories) on both sides → (…)."""
    shares = [side / side.sum(axis=-1, keepdims=True) for side in (reference, current)]
    if method == JENSEN_SHANNON:
        return np.asarray(np.nan_to_num(jensenshannon(*shares, axis=-1)))  # SciPy's rounding may go below zero for equal sides
    before, after = (np.maximum(side, _LEAST_SHARE) for side in shares)
    terms = np.where((reference > 0) | (current > 0), (before - after) * np.log(before / after), 0.0)
    return np.asarray(terms.sum(axis=-1))


def _area_between(first: np.ndarray, second: np.ndarray) -> float:
    """The Wasserstein distance of sorted values. SciPy's sorts them anew and wakes the threads of BLAS, ten times as slow."""
    pooled = np.sort(np.concatenate([first, second]), kind="stable")  # merges what is sorted already
    shares = [np.searchsorted(side, pooled[:-1], side="right") / len(side) for side in (first, second)]
    return float((np.abs(shares[0] - shares[1]) * np.diff(pooled)).sum())


def _without_each(pair: ColumnPair, groups: np.ndarray) -> np.ndarray:
    """Distances with each group of the window's rows left out in turn, shape (groups,); `groups` has that of every known row."""
    member = groups == np.arange(_GROUPS)[:, None]
    if pair.method != WASSERSTEIN:
        counts = np.array([pair.counts(pair.current[rows]) for rows in member])
        return of_counts(pair.method, pair.counts(pair.reference), counts.sum(axis=0) - counts)
    pooled = np.concatenate([pair.reference, pair.current])
    order = np.argsort(pooled, kind="stable")
    before = np.cumsum(order < len(pair.reference))[:-1] / len(pair.reference)
    kept = np.pad(~member, ((0, 0), (len(pair.reference), 0)))[:, order]
    after = np.cumsum(kept, axis=1)[:, :-1] / (~member).sum(axis=1, keepdims=True)
    return np.asarray((np.abs(before - after) * np.diff(pooled[order])).sum(axis=1) / _deviation(pair))


def _deviation(pair: ColumnPair) -> float:
    return max(float(pair.reference.std()), LEAST_DEVIATION)
