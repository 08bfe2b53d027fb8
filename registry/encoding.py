"""From feature columns of any type to the float32 matrix that the boosters read, the same in training and serving."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class ModelColumn:
    """A model input: a number when `vocabulary` is None, otherwise a category coded by its place in the vocabulary."""

    name: str
    vocabulary: tuple[str, ...] | None = None


def learn_columns(frame: pd.DataFrame, names: list[str], most_categories: int = 1000) -> tuple[ModelColumn, ...]:
    """Decide for each named column of the training frame whether it is a number or a category.

    The vocabulary is ordered by frequency, then by name, and keeps the `most_categories` commonest values; rarer ones
    count as missing.
    """
    return tuple(ModelColumn(name, _vocabulary(frame[name], most_categories)) for name in names)


def _vocabulary(values: pd.Series, most: int) -> tuple[str, ...] | None:
    if pd.api.types.is_numeric_dtype(values.dtype):
        return None
    counts = values.dropna().astype(str).value_counts()
    ordered = sorted(counts.items(), key=lambda item: (-int(item[1]), str(item[0])))
    return tuple(str(value) for value, _ in ordered[:most])


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
