"""From feature columns of any type to the float32 matrix that the boosters read, the same in training and serving."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

FEWEST_PER_VALUE = 10
"""A text that fewer clients share may point to one of them: it is kept nowhere in a version."""
RARE = "(rare)"
"""What stands for such a text in the reference of a version; no vocabulary holds it, so that it counts as missing."""


@dataclass(frozen=True)
class ModelColumn:
    """A model input: a number when `vocabulary` is None, otherwise a category coded by its place in the vocabulary."""

    name: str
    vocabulary: tuple[str, ...] | None = None


def learn_columns(
    frame: pd.DataFrame, names: list[str], most_categories: int = 1000, groups: pd.Series | None = None
) -> tuple[ModelColumn, ...]:
    """Decide for each named column of the training frame whether it is a number or a category.

    The vocabulary is ordered by frequency, then by name, and keeps the `most_categories` commonest values that at least 10 rows
    have, or rows of 10 different `groups` (e.g. the client of each row); others count as missing.
    """
    return tuple(ModelColumn(name, _vocabulary(frame[name], most_categories, groups)) for name in names)


def _vocabulary(values: pd.Series, most: int, groups: pd.Series | None) -> tuple[str, ...] | None:
    if pd.api.types.is_numeric_dtype(values.dtype):
        return None
    given = values.notna()
    texts = values[given].astype(str)
    counts = texts.value_counts()
    shared = counts if groups is None else groups[given].groupby(texts.to_numpy()).nunique(dropna=False).reindex(counts.index)
    ordered = sorted(counts[shared >= FEWEST_PER_VALUE].items(), key=lambda item: (-int(item[1]), str(item[0])))
    return tuple(str(value) for value, _ in ordered[:most])


def without_rare(frame: pd.DataFrame, columns: tuple[ModelColumn, ...]) -> pd.DataFrame:
    """The frame with `RARE` in the place of every text that is not in its column's vocabulary."""
    texts = {column.name: set(column.vocabulary) for column in columns if column.vocabulary is not None and column.name in frame}
    folded = {name: _folded(frame[name], known) for name, known in texts.items()}
    return frame.assign(**folded)


def _folded(values: pd.Series, known: set[str]) -> pd.Series:
    plain = values.astype(object)
    return plain.where(plain.isna() | plain.map(str).isin(known), RARE)


def encode(frame: pd.DataFrame, columns: tuple[ModelColumn, ...]) -> np.ndarray:
    """The matrix (rows, columns) in float32; a column that the frame lacks and an unknown category are NaN."""
    matrix = np.full((len(frame), len(columns)), np.nan, dtype=np.float32)
    for index, column in enumerate(columns):
        if column.name in frame.columns:
            matrix[:, index] = _encode(frame[column.name], column)
    return matrix


def _encode(values: pd.Series, column: ModelColumn) -> np.ndarray:
    if column.vocabulary is None:
        return pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float32, na_value=np.nan)
    codes = {value: code for code, value in enumerate(column.vocabulary)}
    return values.map(lambda value: codes.get(str(value), np.nan), na_action="ignore").to_numpy(dtype=np.float32, na_value=np.nan)
