"""Reason codes: which factors of a form weighed most in a bank's decision."""

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import BaseModel, Field

from features.columns import FeatureColumn

MOST = 4


class Reason(BaseModel):
    """A factor that weighed in the decision."""

    code: str = Field(description="Name of the factor.")
    title_ru: str = Field(description="For people, Russian.")
    title_en: str = Field(description="For people, English.")


def reasons(
    columns: Sequence[str], contributions: np.ndarray, approved: bool, known: Mapping[str, FeatureColumn]
) -> list[Reason]:
    """At most four factors that carried the decision, the weightiest first: those for it when approved, those against when not.

    What describes who a person is (gender, family status, child count, age: `FeatureColumn.protected`) is never named.

    Args:
        columns: model columns in order.
        contributions: of one form, in margin space (columns + 1); above 0 speaks for approval.
        known: the feature set's columns by name; a column that it does not know is not named.
    """
    towards = contributions[: len(columns)] * (1 if approved else -1)
    weighty = [columns[index] for index in np.argsort(-towards, kind="stable") if towards[index] > 0]
    named = [known[name] for name in weighty if name in known and not known[name].protected]
    return [Reason(code=column.name, title_ru=column.title_ru, title_en=column.title_en) for column in named[:MOST]]
