"""Reason codes: which factors carried a prediction up or down, in words, and never who the person is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from features.columns import FeatureColumn

MOST = 4
"""A decision is explained by at most this many factors."""

Direction = Literal["up", "down"]


@dataclass(frozen=True)
class ReasonCode:
    """A factor that carried a prediction; `contribution` is in margin space, so positive = towards a higher prediction."""

    code: str
    title_ru: str
    title_en: str
    contribution: float


def reason_codes(
    columns: Sequence[str], contributions: np.ndarray, direction: Direction, known: Mapping[str, FeatureColumn]
) -> list[ReasonCode]:
    """At most `MOST` factors that moved one prediction in `direction`, the weightiest first.

    What describes who a person is (gender, family status, child count, age: `FeatureColumn.protected`) is never named, nor is a
    column that nobody has given a title.

    Args:
        columns: model columns in order.
        contributions: of one row, in margin space, (columns + 1,) or (columns,): exact for blends too (`Scorer.contributions`).
        direction: "up" names what raised the prediction, "down" what lowered it.
        known: columns by name, with titles.
    """
    towards = contributions[: len(columns)] * (1 if direction == "up" else -1)
    weighty = [index for index in np.argsort(-towards, kind="stable") if towards[index] > 0]
    named = [index for index in weighty if columns[index] in known and not known[columns[index]].protected]
    return [_reason(known[columns[index]], float(contributions[index])) for index in named[:MOST]]


def _reason(column: FeatureColumn, contribution: float) -> ReasonCode:
    return ReasonCode(column.name, column.title_ru, column.title_en, contribution)
