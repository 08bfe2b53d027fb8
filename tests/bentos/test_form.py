"""The application form: what shops send, and what is refused."""

from contextlib import nullcontext
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bentos.prescoring.form import ApplicationForm, parse_moment
from features.tables import FORM


def form(**fields: object) -> ApplicationForm:
    return ApplicationForm.model_validate(fields)


def test_the_form_has_the_fields_of_the_applications_table() -> None:
    assert list(ApplicationForm.model_fields) == [column.name for column in FORM]


def test_an_empty_form_is_a_form() -> None:
    assert set(form().columns().values()) == {None}


@given(st.datetimes(datetime(1900, 1, 1), datetime(2099, 12, 31)))  # noqa: DTZ001
def test_dates_with_seven_digits_are_read_to_the_microsecond(moment: datetime) -> None:
    assert parse_moment(f"{moment:%Y-%m-%d %H:%M:%S.%f}7".rjust(27, "0")) == moment
    assert parse_moment(moment.isoformat() + "Z") == moment


@given(st.text(max_size=40))
def test_other_text_is_no_date(text: str) -> None:
    try:
        parse_moment(text)
    except ValueError as error:
        assert str(error)  # noqa: PT017


def test_wrapped_and_bare_forms_are_the_same() -> None:
    bare = form(monthprofit=5, birthdate="1990-01-01")
    assert form(features={"monthprofit": 5, "birthdate": "1990-01-01"}) == bare


def test_the_same_form_has_the_same_task_id_however_its_numbers_and_dates_are_written() -> None:
    first = form(monthprofit=5, birthdate="1990-01-01").task_id()
    assert first == form(birthdate="1990-01-01 00:00:00.0000000", monthprofit=5.0, gender=None).task_id()
    assert first != form(monthprofit=6, birthdate="1990-01-01").task_id()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("birthdate", "2025-13-01"),
        ("birthdate", "22.11.2000"),
        ("birthdate", "1890-01-01"),
        ("birthdate", "2999-01-01"),
        ("birthdate", 20001122),
        ("jobstartdate", "1930-01-01"),
        ("jobstartdate", "2999-01-01"),
        ("gender", 2),
        ("gender", True),
        ("gender", "0"),
        ("snils", -1),
        ("childcount", 31),
        ("childcount", -1),
        ("monthprofit", -1),
        ("monthprofit", "100"),
        ("monthprofit", float("nan")),
        ("monthexpense", float("inf")),
        ("loan_amount", 1e308),
        ("loan_term", 601),
        ("education", 5),
        ("education", "x" * 201),
        ("position", "a\x00b"),
        ("colour", "red"),
    ],
)
def test_a_wrong_value_is_refused_with_its_field(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        form(**{name: value})
    assert caught.value.errors()[0]["loc"] == (name,)


def test_a_job_begun_before_birth_is_refused() -> None:
    with pytest.raises(ValidationError, match="birthdate"):
        form(birthdate="1990-01-01", jobstartdate="1989-12-31")


@pytest.mark.parametrize(
    ("name", "day", "taken"),
    [
        ("birthdate", "2012-11-22", True),
        ("birthdate", "2012-11-23", False),
        ("birthdate", "1905-11-23", True),
        ("birthdate", "1905-11-22", False),
        ("jobstartdate", "2026-11-22", True),
        ("jobstartdate", "2026-11-23", False),
        ("jobstartdate", "1940-01-01", True),
        ("jobstartdate", "1939-12-31", False),
    ],
)
def test_days_are_judged_by_the_calendar_of_the_shop_which_may_be_a_day_ahead(
    monkeypatch: pytest.MonkeyPatch, name: str, day: str, taken: bool
) -> None:
    monkeypatch.setattr("bentos.prescoring.form.now", lambda: datetime(2026, 11, 21, 19, 30, tzinfo=UTC))  # 00:30 in Almaty
    with nullcontext() if taken else pytest.raises(ValidationError):
        form(**{name: day})
