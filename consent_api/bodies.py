"""What goes in and out of the endpoints."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

from consent_api.consents import ACTIVE, Record, consent_id
from consent_api.periods import PATTERN

CLIENT = r"^[\w.-]{1,64}$"
"""Client codes as addresses carry them."""


def _code(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _text_only(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("write the moment as text in ISO 8601, like 2027-01-31T00:00:00Z")
    return value


def _whole_second(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        raise ValueError("this moment lies outside the calendar") from None


def _each_once(values: list[str]) -> list[str]:
    if len(set(values)) != len(values):
        raise ValueError("name each data type once")
    return values


ClientCode = Annotated[str, BeforeValidator(_code), Field(pattern=CLIENT)]
ClientPath = Annotated[str, Path(pattern=CLIENT, description="Client code.")]
Moment = Annotated[AwareDatetime, BeforeValidator(_text_only), AfterValidator(_whole_second)]
Name = Annotated[str, Field(min_length=1, max_length=64)]


class ConsentRequest(BaseModel):
    """A client's decision on one company: `is_active` true gives consent, false withdraws it."""

    model_config = ConfigDict(extra="forbid")

    client_id: ClientCode = Field(description="Client code, a whole number or text.")
    company: Name = Field(description="One of GET /companies.")
    data_types: Annotated[list[Name], AfterValidator(_each_once)] = Field(
        min_length=1, max_length=32, description="Some of GET /data-types."
    )
    is_active: StrictBool = Field(description="Give (true) or withdraw (false).")
    purpose: Name | None = Field(None, description="What for; by default market_statistics, and on withdrawing any purpose.")
    expires_at: Moment | None = Field(
        None, description="Last moment with a time zone; by default, and at most, 12 months on. Only when giving."
    )


class PeriodQuery(BaseModel):
    """Which month; other parameters are refused, because ignoring them would answer another question."""

    model_config = ConfigDict(extra="forbid")

    period: str | None = Field(
        None, pattern=PATTERN, description="A month like 2026-10; by default the newest that was released."
    )


class RecordBody(BaseModel):
    """One consent: one data type and one purpose."""

    record_id: str
    data_type: str
    purpose: str
    state: str = Field(description="active, revoked, expired or superseded.")
    status_update_at: datetime
    status_reason: str
    given_at: datetime
    valid_until: datetime = Field(description="The consent does not count from this moment on.")
    previous_record_id: str | None


class ConsentBody(BaseModel):
    """What a client has decided on one company."""

    consent_id: str
    client_id: str
    company: str
    is_active: bool = Field(description="Whether any data type is consented to now.")
    data_types: list[str] = Field(description="The data types consented to now.")
    records: list[RecordBody] = Field(description="The newest record of each data type and purpose.")


class ConsentAnswer(BaseModel):
    """What was done."""

    message: str
    consent_id: str
    consent: ConsentBody


class ClientConsents(BaseModel):
    """All decisions of a client."""

    client_id: str
    consents: list[ConsentBody]


class CompanyBody(BaseModel):
    """A partner company."""

    company: str
    name_ru: str
    name_en: str
    about_ru: str
    about_en: str


class Companies(BaseModel):
    """The companies a client may consent to."""

    companies: list[CompanyBody]


class DataTypeBody(BaseModel):
    """A data type a client may consent to."""

    data_type: str
    title_ru: str
    title_en: str
    released: bool = Field(description="Whether reports of it are made yet.")


class DataTypes(BaseModel):
    """The data types, and what they may be used for."""

    data_types: list[DataTypeBody]
    purposes: list[dict[str, str]]


class Aggregate(BaseModel):
    """One release, as it was stored."""

    company: str
    data_type: str
    metrics: dict[str, Any]
    sample_size: int = Field(description="Number of clients, with noise.")
    generated_at: datetime
    privacy: dict[str, Any] = Field(description="What the figures promise, and how far each may be off.")


class Aggregates(BaseModel):
    """What a partner may see."""

    company: str
    total_datasets: int
    data: list[Aggregate]
    message: str | None = Field(None, description="Why there is no data.")


def consent_body(client_code: str, company: str, records: list[Record]) -> ConsentBody:
    """The records of one client and company as one consent."""
    bodies = [RecordBody.model_validate(record, from_attributes=True) for record in records]
    active = sorted({record.data_type for record in records if record.state == ACTIVE})
    return ConsentBody(
        consent_id=consent_id(client_code, company),
        client_id=client_code,
        company=company,
        is_active=bool(active),
        data_types=active,
        records=bodies,
    )
