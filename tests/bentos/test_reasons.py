"""Reason codes name what weighed, and never who the person is."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bentos.reasons import MOST, reasons
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


def test_an_approval_is_explained_by_what_spoke_for_it() -> None:
    assert codes([9, 8, 5, 1, 2, 3, 4, 7], True) == ["a", "e", "d", "c"]


@given(st.lists(st.floats(-10, 10), min_size=8, max_size=8), st.booleans())
def test_never_more_than_four_and_never_a_protected_subject(values: list[float], approved: bool) -> None:
    named = codes(values, approved)
    assert len(named) <= MOST
    assert not {"who_gender", "who_age", "unheard_of"} & set(named)
    assert all((values[COLUMNS.index(name)] > 0) == approved for name in named)


def test_titles_are_in_both_languages() -> None:
    (reason,) = reasons(("a",), np.array([1.0, 0.0]), True, KNOWN)
    assert (reason.title_ru, reason.title_en) == ("A", "A")
