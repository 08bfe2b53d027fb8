"""Columns made comparable: what kind they are, how they are compared, and how much difference chance alone makes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial.distance import jensenshannon

WASSERSTEIN = "wasserstein"
JENSEN_SHANNON = "jensenshannon"
KINDS = {"numbers": WASSERSTEIN, "categories": JENSEN_SHANNON}
METHOD_NAMES = {
    WASSERSTEIN: "Wasserstein distance in standard deviations of the reference",
    JENSEN_SHANNON: "Jensen-Shannon distance",
}
OTHER = "other"
_MOST_CATEGORIES = 20
_FEWEST_PER_CATEGORY = 5
_CHANCE_SPLITS = 30
_LEAST_DEVIATION = 0.001  # as in Evidently: a constant column must not divide by zero


@dataclass(frozen=True)
class ColumnPair:
    """One column on both sides.

    Attributes:
        method: "wasserstein" for numbers, "jensenshannon" for categories.
        reference, current: float64 or str values, missing ones as NaN, each in an order of its own (see `pair_columns`).
    """

    name: str
    method: str
    reference: pd.Series
    current: pd.Series

    @property
    def comparable(self) -> bool:
        """Whether both sides hold any value at all."""
        return bool(self.reference.notna().any() and self.current.notna().any())

    @property
    def missing(self) -> tuple[float, float]:
        """Share of missing values in the reference and in the current rows."""
        return float(self.reference.isna().mean()), float(self.current.isna().mean())


def pair_columns(reference: pd.DataFrame, current: pd.DataFrame, names: Sequence[str], seed: int) -> list[ColumnPair]:
    """The named columns of both frames, made comparable; a column that a frame lacks counts as missing there.

    Categories beyond the 20 most frequent of the reference, or seen fewer than 5 times in it, become "other": dozens of rare
    values are noise, and a rare value may point to a person. Every column is shuffled on its own, so that no row of a client can
    be put together again from a report.
    """
    rng = np.random.default_rng(seed)
    return [_pair(name, _column(reference, name), _column(current, name), rng) for name in names]


def chance_threshold(pair: ColumnPair, floor: float, seed: int) -> float:
    """Distance from which a column counts as drifted: `floor`, or what chance gives at these sample sizes if that is more.

    Chance is the largest distance of 30 random splits of all values into two sides of the same sizes: where nothing has changed,
    one column in 31 exceeds it, however heavy its tails and however small the window.
    Source: permutation test, Pitman, Significance Tests Which May Be Applied to Samples from Any Populations (1937).
    """
    rng = np.random.default_rng(seed)
    reference, current = pair.reference.dropna(), pair.current.dropna()
    pooled = pd.concat([reference, current])
    if pair.method == WASSERSTEIN:
        distances = _wasserstein_of_splits(np.sort(pooled.to_numpy()), len(reference), rng)
    else:
        counts = pooled.value_counts().to_numpy()
        splits = rng.multivariate_hypergeometric(counts, len(reference), size=_CHANCE_SPLITS)
        distances = jensenshannon(splits, counts - splits, axis=1)
    return max(floor, float(np.nanmax(distances)))


def _wasserstein_of_splits(values: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Distances of random splits of sorted `values` into `size` and the rest, in standard deviations of the first side."""
    first = rng.permuted(np.tile(np.arange(len(values)) < size, (_CHANCE_SPLITS, 1)), axis=1)
    gap = np.cumsum(first, axis=1) / size - np.cumsum(~first, axis=1) / (len(values) - size)
    distances: np.ndarray = (np.abs(gap[:, :-1]) * np.diff(values)).sum(axis=1)
    centred = values - values.mean()
    variances = (first * centred**2).sum(axis=1) / size - ((first * centred).sum(axis=1) / size) ** 2
    deviations: np.ndarray = np.maximum(np.sqrt(np.maximum(variances, 0)), _LEAST_DEVIATION)
    normed: np.ndarray = distances / deviations
    return normed


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    return frame[name] if name in frame else pd.Series(np.nan, index=frame.index, name=name)


def _pair(name: str, reference: pd.Series, current: pd.Series, rng: np.random.Generator) -> ColumnPair:
    typed = reference if reference.notna().any() else current
    if pd.api.types.is_numeric_dtype(typed):  # booleans too
        sides, method = [_numbers(reference), _numbers(current)], WASSERSTEIN
    else:
        texts = [_texts(reference), _texts(current)]
        counts = texts[0].value_counts()
        kept = counts[counts >= _FEWEST_PER_CATEGORY].index[:_MOST_CATEGORIES]
        sides, method = [side.where(side.isin(kept) | side.isna(), OTHER) for side in texts], JENSEN_SHANNON
    shuffled = [side.iloc[rng.permutation(len(side))].reset_index(drop=True) for side in sides]
    return ColumnPair(name, method, shuffled[0], shuffled[1])


def _numbers(column: pd.Series) -> pd.Series:
    return pd.to_numeric(column, errors="coerce").astype("float64").replace([np.inf, -np.inf], np.nan)


def _texts(column: pd.Series) -> pd.Series:
    return column.astype(object).map(str, na_action="ignore").astype("str")
