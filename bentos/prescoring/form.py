"""The application form as shops send it."""

import hashlib
import re
from datetime import date, datetime, timedelta
from typing import Annotated, Any

import orjson
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from bentos.serving.bodies import Body
from bentos.serving.whole import WHOLE
from clock import now

_MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?)?Z?", re.ASCII)
_LONGEST_LIFE = 120
_YOUNGEST = 14
_EARLIEST_JOB = date(1940, 1, 1)
_FARTHEST_EAST = timedelta(hours=14)
"""How far ahead of UTC the day begins somewhere: forms give the day of the shop."""

Text = Annotated[str | None, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]

Flag = Annotated[int, Field(ge=0, le=1), WHOLE] | None


def parse_moment(text: str) -> datetime:
    """`2000-11-22 00:00:00.0000000`, or ISO 8601 in UTC, as a naive UTC datetime (digits beyond microseconds are dropped).

    Raises:
        ValueError: another form, or a day that does not exist.
    """
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise ValueError("should be a date like 2000-11-22 00:00:00.0000000")
    day, time, fraction = match.groups()
    return datetime.fromisoformat(f"{day}T{time or '00:00:00'}.{(fraction or '0').ljust(6, '0')[:6]}")


def _day(text: str) -> date:
    return parse_moment(text).date()


def _today() -> date:
    """The latest day that it is anywhere."""
    return (now() + _FARTHEST_EAST).date()


def _age(birth: date, day: date) -> int:
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))


def _is_moment(text: str) -> str:
    parse_moment(text)
    return text


_MOMENT_SCHEMA = {
    "type": "string",
    "pattern": r"^(19|20)\d{2}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])([ T]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?)?Z?$",
}
Moment = Annotated[str, StringConstraints(max_length=40), AfterValidator(_is_moment), WithJsonSchema(_MOMENT_SCHEMA)] | None


class ApplicationForm(Body):
    """The 16 fields of the form, bare or as `{"features": {…}}`; all optional. Amounts in tenge, the term in months."""

    birthdate: Moment = Field(None, description="Date of birth.")
    education: Text = Field(None, description="Level of education.")
    employment_status: Text = Field(None, description="Employed, self-employed, retired, …")
    value: Text = Field(None, description="Work experience, as text.")
    jobstartdate: Moment = Field(None, description="First day at the present job.")
    position: Text = Field(None, description="Position at the present job.")
    monthprofit: Annotated[float, Field(ge=0, le=1e9)] | None = Field(None, description="Income, tenge a month.")
    monthexpense: Annotated[float, Field(ge=0, le=1e9)] | None = Field(None, description="Expenses, tenge a month.")
    gender: Flag = Field(None, description="0 male, 1 female.")
    family_status: Text = Field(None, description="Married, single, …")
    childcount: Annotated[float, Field(ge=0, le=30)] | None = Field(None, description="Number of children.")
    snils: Flag = Field(None, description="1 = the insurance number was given.")
    merch_code: Text = Field(None, description="Code of the shop, as text.")
    loan_amount: Annotated[float, Field(ge=0, le=1e10)] | None = Field(None, description="Amount asked for, tenge.")
    loan_term: Annotated[float, Field(ge=0, le=600)] | None = Field(None, description="Term asked for, months.")
    goods_category: Text = Field(None, description="What the loan is to pay for.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "birthdate": "1990-05-17 00:00:00.0000000",
                    "education": "Высшее",
                    "monthprofit": 350000,
                    "monthexpense": 90000,
                    "loan_amount": 250000,
                    "loan_term": 12,
                }
            ]
        }
    )

    @model_validator(mode="before")
    @classmethod
    def _unwrapped(cls, body: Any) -> Any:
        return body["features"] if isinstance(body, dict) and list(body) == ["features"] else body

    @field_validator("birthdate")
    @classmethod
    def _of_working_age(cls, text: str | None) -> str | None:
        if text and not _YOUNGEST <= _age(_day(text), _today()) <= _LONGEST_LIFE:
            raise ValueError(f"should give an age between {_YOUNGEST} and {_LONGEST_LIFE} years")
        return text

    @field_validator("jobstartdate")
    @classmethod
    def _within_life(cls, text: str | None, info: ValidationInfo) -> str | None:
        birth = info.data.get("birthdate")
        earliest = _day(birth) if birth else _EARLIEST_JOB
        if text and not max(earliest, _EARLIEST_JOB) <= _day(text) <= _today():
            raise ValueError("should lie between 1940 and today, and not before birthdate")
        return text

    def task_id(self) -> str:
        """The same form gives the same id: 32 hex digits of the SHA-256 of its canonical JSON."""
        return hashlib.sha256(orjson.dumps(self.columns(), option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]

    def columns(self) -> dict[str, Any]:
        """The form as a row of the applications table."""
        values = self.model_dump()
        for name in ("birthdate", "jobstartdate"):
            values[name] = parse_moment(values[name]) if values[name] else None
        return values
