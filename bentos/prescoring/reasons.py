"""Reason codes as they go over the wire: which factors of a form weighed most in a bank's decision."""

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import BaseModel, Field

from features.columns import FeatureColumn
from registry.reasons import reason_codes


class Reason(BaseModel):
    """A factor that weighed in the decision."""

    code: str = Field(description="Name of the factor.")
    title_ru: str = Field(description="For people, Russian.")
    title_en: str = Field(description="For people, English.")


def reasons(
    columns: Sequence[str], contributions: np.ndarray, approved: bool, known: Mapping[str, FeatureColumn]
) -> list[Reason]:
    """At most four factors that carried the decision, the weightiest first: those for it when approved, those against when not.

    Args:
        columns: model columns in order.
        contributions: of one form, in margin space (columns + 1); above 0 speaks for approval.
        known: the feature set's columns by name; a column that it does not know, and a protected one, is not named.
    """
    found = reason_codes(columns, contributions, "up" if approved else "down", known)
    return [Reason(code=reason.code, title_ru=reason.title_ru, title_en=reason.title_en) for reason in found]
