"""Amounts, shares, months, lists and names in Russian."""

from datetime import date

import pytest

from bentos.push.grammar import amount_text, for_month, given_name, in_month, listed, rounded, share_text


def test_amounts_are_whole_tenge_in_groups_of_three() -> None:
    assert [amount_text(amount) for amount in (27_400, 999.6, 1_234_567, 5)] == ["27 400 ₸", "1 000 ₸", "1 234 567 ₸", "5 ₸"]


@pytest.mark.parametrize(
    ("exact", "said"),
    [(27_431, 27_400), (99_960, 100_000), (1_234_567, 1_230_000), (8_813, 8_800), (9_960, 10_000), (943, 940), (0.4, 0)],
)
def test_an_estimate_is_rounded_as_one_says_it(exact: float, said: float) -> None:
    assert rounded(exact) == said


def test_shares_have_a_comma_and_no_empty_decimals() -> None:
    assert [share_text(share) for share in (0.165, 0.1, 0.015, 0.04)] == ["16,5 %", "10 %", "1,5 %", "4 %"]


def test_months_are_declined() -> None:
    days = [date(2026, month, 1) for month in range(1, 13)]
    assert [in_month(day) for day in days] == [
        "в январе", "в феврале", "в марте", "в апреле", "в мае", "в июне",
        "в июле", "в августе", "в сентябре", "в октябре", "в ноябре", "в декабре",
    ]  # fmt: skip
    assert [for_month(day) for day in days] == [
        "за январь", "за февраль", "за март", "за апрель", "за май", "за июнь",
        "за июль", "за август", "за сентябрь", "за октябрь", "за ноябрь", "за декабрь",
    ]  # fmt: skip


def test_lists_end_with_and() -> None:
    assert listed(["такси"]) == "такси"
    assert listed(["такси", "кино", "книги"]) == "такси, кино и книги"


@pytest.mark.parametrize(
    ("stored", "used"),
    [
        ("Айгерим", "Айгерим"),
        ("Әлия", "Әлия"),
        ("Анна-Мария", "Анна-Мария"),
        ("Жан-Поль", "Жан-Поль"),
        ("O'Brien", "O'Brien"),
        ("АЙГЕРИМ", "Айгерим"),
        ("айгерим", "Айгерим"),
        ("  Нур   Али ", "Нур Али"),
        ("Алексе\u0438\u0306", "Алексей"),
    ],
)
def test_a_name_is_used_as_it_is_but_for_capitals_and_blanks(stored: str, used: str) -> None:
    assert given_name(stored) == used


@pytest.mark.parametrize(
    "stored",
    [None, "", "   ", "Я", "А" * 200, "<b>Анна</b>", "=1+1", "Анна😀", "李明", "محمد", "Анна7", "--", "{name}", "А.С."],
)
def test_what_cannot_be_a_name_is_left_out(stored: str | None) -> None:
    assert given_name(stored) is None
