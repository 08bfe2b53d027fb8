"""Reasons on the wire: those for an approval, those against a decline, in both languages."""

import numpy as np

from bentos.prescoring.reasons import reasons
from features.columns import FeatureColumn

KNOWN = {
    name: FeatureColumn(name, "float64", name.upper(), name.title(), "", protected=name.startswith("who"))
    for name in ("who_gender", "who_age", "a", "b", "c", "d", "e")
}
COLUMNS = (*KNOWN, "unheard_of")


def codes(values: list[float], approved: bool) -> list[str]:
    return [reason.code for reason in reasons(COLUMNS, np.array([*values, 0.5]), approved, KNOWN)]


def test_a_decline_is_explained_by_what_spoke_against_it_weightiest_first() -> None:
    assert codes([-9, -8, -1, -3, 2, -2, 0, -7], False) == ["b", "d", "a"]


def test_an_approval_is_explained_by_at_most_four_that_spoke_for_it() -> None:
    assert codes([9, 8, 5, 1, 2, 3, 4, 7], True) == ["a", "e", "d", "c"]


def test_a_reason_is_a_code_with_titles_in_both_languages() -> None:
    (reason,) = reasons(("a",), np.array([1.0, 0.0]), True, KNOWN)
    assert reason.model_dump() == {"code": "a", "title_ru": "A", "title_en": "A"}
