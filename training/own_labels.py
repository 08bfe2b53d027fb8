"""From the target column of a user's table, with any values, to the labels that are learned."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.wording import agreeing, plural
from training.own_request import TableRequest
from training.refusals import FEWEST_ROWS
from training.task import NotTrainable

MOST_CLASSES = 100
FEWEST_OF_A_CLASS = 20
LARGEST_AMOUNT = 1e18
"""Beyond, the square of an error is no number that the boosting libraries could hold."""
SMALLEST_SPREAD = 1e-5
"""Least difference between the largest and the smallest amount, in parts of the larger or of 1: labels are held in float32, and
CatBoost takes amounts nearer to each other than about 1e-6 for the same."""
_YES = {"1", "true", "yes", "y", "t", "да", "д", "истина", "bad", "default", "fraud"}


@dataclass(frozen=True)
class Labels:
    """A label per row (NaN where it is missing) and the classes: (negative, positive), all of them, or none of an amount."""

    values: pd.Series
    classes: tuple[str, ...]


def learn_labels(request: TableRequest, column: pd.Series) -> Labels:
    """The labels of `column` for the kind that is asked for.

    Raises:
        NotTrainable: one class, too many, too rare ones, or an amount that is none; names the column and the count.
    """
    if column.isna().all():
        raise NotTrainable(
            f"{request.name}: target {request.target} is missing in all {len(column):,} rows: name the column with the answers"
        )
    given = int(column.count())
    if given < FEWEST_ROWS:
        raise NotTrainable(
            f"{request.name}: {given} of {len(column):,} rows {agreeing(given, 'has', 'have')} a {request.target}, at least "
            f"{FEWEST_ROWS} are needed: bring more rows"
        )
    if request.kind == "regression":
        return Labels(_amounts(request, column), ())
    texts = column.map(as_text, na_action="ignore").astype(object)
    counts = texts.value_counts()
    if len(counts) == 1:
        raise NotTrainable(
            f"{request.name}: target {request.target} has one class only, {counts.index[0]!r} in all {counts.iloc[0]:,} rows: "
            "bring rows of another"
        )
    classes = _two(request, counts) if request.kind == "binary" else _several(request, counts)
    codes = {name: float(code) for code, name in enumerate(classes)}
    return Labels(texts.map(codes).astype("float64"), classes)


def as_text(value: object) -> str:
    """A class as text: 1 for 1.0, otherwise as it stands."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _amounts(request: TableRequest, column: pd.Series) -> pd.Series:
    if not pd.api.types.is_numeric_dtype(column.dtype):
        raise NotTrainable(
            f"{request.name}: target {request.target} is no number ({column.nunique():,} different values in {column.count():,} "
            "rows): a regression needs amounts; take KIND=binary or KIND=multiclass for classes"
        )
    amounts = column.astype("float64")
    beyond = int((amounts.abs() > LARGEST_AMOUNT).sum())
    if beyond:
        raise NotTrainable(
            f"{request.name}: target {request.target} is infinite or beyond {LARGEST_AMOUNT:g} in {plural(beyond, 'row')}: check "
            "the export, or leave them out"
        )
    low, high = amounts.min(), amounts.max()
    if 0 < high - low < SMALLEST_SPREAD * max(1, abs(low), abs(high)):
        raise NotTrainable(
            f"{request.name}: target {request.target} hardly varies, from {low:.12g} to {high:.12g} in {amounts.count():,} rows: "
            "give it in a smaller unit, or without what all rows have in common"
        )
    return amounts


def _two(request: TableRequest, counts: pd.Series) -> tuple[str, str]:
    """Negative and positive: the one asked for; else yes, true, 1, да; else the larger number; else the rarer; else the later."""
    if len(counts) != 2:
        raise NotTrainable(
            f"{request.name}: target {request.target} has {len(counts):,} different values, a binary target has 2: take "
            "KIND=multiclass or KIND=regression"
        )
    values = sorted(str(name) for name in counts.index)
    if request.positive is not None and request.positive not in values:
        raise NotTrainable(
            f"{request.name}: target {request.target} never has the positive value {request.positive!r}: it has {values}"
        )
    _refuse_rare(request, counts)
    yes = [name for name in values if name.lower() in _YES]
    if request.positive is not None:
        positive = request.positive
    elif len(yes) == 1:
        positive = yes[0]
    elif all(_number(name) is not None for name in values):
        positive = max(values, key=lambda name: _number(name) or 0.0)
    else:
        positive = max(values, key=lambda name: (-int(counts[name]), name))
    negative = next(name for name in values if name != positive)
    return negative, positive


def _several(request: TableRequest, counts: pd.Series) -> tuple[str, ...]:
    if len(counts) > MOST_CLASSES:
        raise NotTrainable(
            f"{request.name}: target {request.target} has {len(counts):,} classes, at most {MOST_CLASSES} can be told apart: "
            "merge the rare ones, or take KIND=regression for amounts"
        )
    _refuse_rare(request, counts)
    names = [str(name) for name in counts.index]
    numbers = [_number(name) for name in names]
    return tuple(sorted(names, key=lambda name: _number(name) or 0.0) if None not in numbers else sorted(names))


def _refuse_rare(request: TableRequest, counts: pd.Series) -> None:
    rare = {str(name): int(count) for name, count in counts.items() if count < FEWEST_OF_A_CLASS}
    if rare:
        named = ", ".join(f"{name} ({plural(count, 'row')})" for name, count in sorted(rare.items())[:10])
        remedy = "bring more of them" if request.kind == "binary" else "merge them with others or leave their rows out"
        raise NotTrainable(
            f"{request.name}: {len(rare)} of {len(counts)} classes of target {request.target} "
            f"{agreeing(len(rare), 'has', 'have')} fewer than {FEWEST_OF_A_CLASS} rows: {named}: {remedy}"
        )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
