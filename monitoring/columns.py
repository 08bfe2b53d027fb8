"""Columns made comparable: what kind they are, and what is known of them on both sides."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from registry.encoding import RARE

WASSERSTEIN = "wasserstein"
JENSEN_SHANNON = "jensenshannon"
PSI = "psi"
METHOD_NAMES = {
    WASSERSTEIN: "Wasserstein distance in standard deviations of the reference",
    JENSEN_SHANNON: "Jensen-Shannon distance",
    PSI: "population stability index",
}
KINDS = {"numbers": WASSERSTEIN, "numbers of few values": JENSEN_SHANNON, "categories": PSI}
OTHER = "other"
_FEW_VALUES = 5  # as in Evidently: numbers with at most so many different values are compared value by value
_MOST_CATEGORIES = 20
_FEWEST_PER_CATEGORY = 5
_LARGEST = 1e100  # what lies beyond counts as this: its square would overflow


@dataclass(frozen=True, eq=False)
class ColumnPair:
    """One column on both sides.

    Attributes:
        method: "wasserstein" for numbers, "jensenshannon" for numbers of few values, "psi" for categories.
        reference, current: the known values; numbers as float64, sorted, else positions in `categories`.
        rows: of the reference and of the window, missing values among them.
        categories: names of the values that are compared one by one, the last one `OTHER`; empty for numbers.
        unseen: values that the reference has nowhere → their rows in the window.
        hidden: rows of the reference whose value was folded, being rare; any unseen value may be among them.
    """

    name: str
    method: str
    reference: np.ndarray
    current: np.ndarray
    rows: tuple[int, int]
    categories: tuple[str, ...] = ()
    unseen: pd.Series | None = None
    hidden: int = 0

    @property
    def comparable(self) -> bool:
        """Whether both sides hold any value at all."""
        return bool(len(self.reference) and len(self.current))

    @property
    def missing(self) -> tuple[float, float]:
        """Share of missing values in the reference and in the window."""
        known = len(self.reference), len(self.current)
        return 1 - known[0] / self.rows[0], 1 - known[1] / self.rows[1]

    def counts(self, values: np.ndarray) -> np.ndarray:
        """How often each of `categories` is among `values`, positions as in `reference` and `current`."""
        return np.bincount(values, minlength=len(self.categories))


def pair_columns(reference: pd.DataFrame, current: pd.DataFrame, names: Sequence[str]) -> list[ColumnPair]:
    """The named columns of both frames, made comparable; a column that a frame lacks counts as missing there.

    Categories beyond the 20 most frequent of the reference, or seen fewer than 5 times in it, become "other": dozens of rare
    values are noise, and a rare value may point to a person.
    """
    return [_pair(name, _column(reference, name), _column(current, name)) for name in names]


def is_number(column: pd.Series) -> bool:
    """Whether the values are numbers or flags; the journal gives flags and gaps as objects."""
    known = column.dropna()
    return pd.api.types.is_numeric_dtype(known.infer_objects() if known.dtype == object else known)


def shown(pair: ColumnPair, values: pd.Series) -> pd.Series:
    """What values of the column are called in `ColumnPair.unseen`; for those that are missing nothing that is called so there."""
    if pair.method == PSI:
        return values.astype(object).map(str).where(values.notna())
    return pd.to_numeric(values, errors="coerce").map("{:g}".format)


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    return frame[name] if name in frame else pd.Series(np.nan, index=frame.index, name=name)


def _pair(name: str, reference: pd.Series, current: pd.Series) -> ColumnPair:
    rows = len(reference), len(current)
    typed = reference if reference.notna().any() else current
    if not is_number(typed):
        return _categories(name, PSI, _texts(reference), _texts(current), rows)
    before, after = _numbers(reference), _numbers(current)
    if len(before) and 1 + np.count_nonzero(np.diff(before)) <= _FEW_VALUES:
        return _categories(name, JENSEN_SHANNON, _shown(before), _shown(after), rows)
    return ColumnPair(name, WASSERSTEIN, before, after, rows)


def _categories(name: str, method: str, reference: pd.Series, current: pd.Series, rows: tuple[int, int]) -> ColumnPair:
    seen = reference[reference != RARE].value_counts()
    kept = tuple(sorted(seen.index[:_MOST_CATEGORIES])) if method == JENSEN_SHANNON else _frequent(seen)
    places = [pd.Index(kept, dtype=object).get_indexer(pd.Index(side, dtype=object)) for side in (reference, current)]
    codes = [np.where(side < 0, len(kept), side) for side in places]
    counts = current.value_counts()
    unseen = counts[~counts.index.isin(seen.index)]
    return ColumnPair(name, method, codes[0], codes[1], rows, (*kept, OTHER), unseen, int((reference == RARE).sum()))


def _frequent(seen: pd.Series) -> tuple[str, ...]:
    return tuple(sorted(seen[seen >= _FEWEST_PER_CATEGORY].index[:_MOST_CATEGORIES]))


def _numbers(column: pd.Series) -> np.ndarray:
    """The finite values, sorted."""
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype="float64", na_value=np.nan)
    return np.sort(np.clip(numbers[np.isfinite(numbers)], -_LARGEST, _LARGEST))


def _shown(numbers: np.ndarray) -> pd.Series:
    different, places = np.unique(numbers, return_inverse=True)
    return pd.Series(np.array([f"{number:g}" for number in different], dtype=object)[places], dtype="str")


def _texts(column: pd.Series) -> pd.Series:
    return column.dropna().astype(object).map(str).astype("str")
