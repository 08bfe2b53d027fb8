"""How much less rows say than as many independent ones, because rows of one client are alike."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from monitoring.columns import PSI, WASSERSTEIN, ColumnPair
from registry.scorer import CLUSTER

_MOST_VALUES = 20


@dataclass(frozen=True)
class Dependence:
    """Whose each row of the two sides is, and by how much larger differences chance gives for it than with independent rows.

    A stranger in one account makes many payments of the highest risk: random splits, which exchange them one by one between the
    sides, take one event for many. The variance of a difference of the sides is as many times larger as their design effects
    say. Source: Rao and Scott, On Chi-Squared Tests for Multiway Contingency Tables (1984).

    Attributes:
        reference, current: the sides; a column `registry.scorer.CLUSTER` says whose each row is, without it rows are independent.
    """

    reference: pd.DataFrame
    current: pd.DataFrame

    def spread(self, pair: ColumnPair) -> float:
        """How many times larger distances are; at least 1. They grow with the root of the variance, the PSI with itself."""
        larger = self._inflation(pair.name, numbers=pair.method == WASSERSTEIN)
        return larger if pair.method == PSI else float(np.sqrt(larger))

    def missing_spread(self, name: str) -> float:
        """How many times larger changes of the share of missing values are; at least 1."""
        return float(np.sqrt(self._inflation(name, missing=True)))

    def _inflation(self, name: str, numbers: bool = True, missing: bool = False) -> float:
        """How many times larger the variance of the difference is."""
        variance = independent = 0.0
        for side in (self.reference, self.current):
            if CLUSTER not in side or name not in side:
                values, clusters = np.zeros((len(side), 1)), np.arange(len(side))
            else:
                known = np.ones(len(side), dtype=bool) if missing else side[name].notna().to_numpy()
                column = side[name].isna() if missing else side[name][known]
                values, clusters = _columns(column, numbers), side[CLUSTER].to_numpy()[known]
            variance += design_effect(values, clusters) / max(1, len(values))
            independent += 1 / max(1, len(values))
        return variance / independent


def design_effect(values: np.ndarray, clusters: np.ndarray) -> float:
    """Variance of the mean when the rows of a cluster go together, over that of independent rows; at least 1.

    Source: Kish, Survey Sampling (1965); of several columns, the ratio of the sums.

    Args:
        values: shape (rows, columns), none missing.
        clusters: shape (rows,), any values.
    """
    places, names = pd.factorize(clusters)
    if len(names) in (0, 1, len(values)):
        return 1.0 if len(names) == len(values) else float(len(values))
    off = values - values.mean(axis=0)
    alone = float((off**2).sum())
    if alone <= 0:
        return 1.0
    together = sum(float((np.bincount(places, column) ** 2).sum()) for column in off.T)
    return max(1.0, together / alone * len(names) / (len(names) - 1))


def independent_rows(rows: pd.DataFrame, chosen: pd.Series) -> int:
    """As how many independent rows the chosen ones count; without a column `registry.scorer.CLUSTER` all of them.

    Kish's effective sample size of rows that are alike within a cluster: Survey Sampling (1965).

    Args:
        chosen: shape (rows,), whether a row is meant.
    """
    if CLUSTER not in rows or not chosen.any():
        return int(chosen.sum())
    sizes = np.unique(rows.loc[chosen, CLUSTER], return_counts=True)[1].astype("float64")
    return round(float(sizes.sum() ** 2 / (sizes**2).sum()))


def _columns(values: pd.Series, numbers: bool) -> np.ndarray:
    """Numbers as one column; of other values a column of zeros and ones for each of the commonest, and one for the rest."""
    if numbers:
        return pd.to_numeric(values, errors="coerce").fillna(0.0).to_numpy(dtype="float64").reshape(-1, 1)
    places = pd.Index(values.value_counts().index[:_MOST_VALUES]).get_indexer(pd.Index(values))
    return np.asarray(places[:, None] == np.arange(-1, _MOST_VALUES), dtype="float64")
