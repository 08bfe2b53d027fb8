"""What goes in and out of the endpoints."""

import re
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

from consent_api.callers.roles import CLIENT
from consent_api.record.resources import ConsentBody

STORABLE = r"^[^\x00]*$"
"""Texts that every database can compare with."""
_CALENDAR = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _code(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _text_only(value: object) -> object:
    if not isinstance(value, str) or not _CALENDAR.match(value):
        raise ValueError("write the moment as text in ISO 8601, like 2027-01-31T00:00:00Z")
    return value


def _whole_second(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        raise ValueError("this moment lies outside the calendar") from None


def _one(value: object) -> object:
    if isinstance(value, list | tuple | dict):
        raise ValueError("name one purpose: every purpose needs a consent of its own")
    return value


def _each_once(values: list[str]) -> list[str]:
    if len(set(values)) != len(values):
        raise ValueError("name each data type once")
    return values


ClientCode = Annotated[str, BeforeValidator(_code), Field(pattern=CLIENT)]
ClientPath = Annotated[str, Path(pattern=CLIENT, description="Client code.", examples=["100008"])]
Moment = Annotated[AwareDatetime, BeforeValidator(_text_only), AfterValidator(_whole_second)]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=STORABLE)]
Purpose = Annotated[Name, BeforeValidator(_one)]
Kinds = Annotated[
    list[Name],
    AfterValidator(_each_once),
    Field(min_length=1, max_length=32, description="Some of GET /data-types.", examples=[["category_spending"]]),
]


class ConsentRequest(BaseModel):
    """A client's decision on one company: `is_active` true gives consent, false withdraws it."""

    model_config = ConfigDict(extra="forbid")

    client_id: ClientCode = Field(description="Client code, a whole number or text.", examples=["100008"])
    company: Name = Field(description="One of GET /companies.", examples=["dala-market"])
    data_types: Kinds
    is_active: StrictBool = Field(description="Give (true) or withdraw (false).")
    purpose: Purpose | None = Field(None, description="What for; by default market_statistics, and on withdrawing any purpose.")
    expires_at: Moment | None = Field(
        None, description="Last moment with a time zone; by default, and at most, 12 months on. Only when giving."
    )


class AskRequest(BaseModel):
    """What a client is to be asked; nothing counts before the client agrees with POST /consent."""

    model_config = ConfigDict(extra="forbid")

    client_id: ClientCode = Field(description="Client code, a whole number or text.", examples=["100008"])
    company: Name = Field(description="One of GET /companies.", examples=["dala-market"])
    data_types: Kinds
    purpose: Purpose | None = Field(None, description="What for; by default market_statistics.")
    expires_at: Moment | None = Field(None, description="Last moment with a time zone; by default, and at most, 12 months on.")


class ConsentAnswer(BaseModel):
    """What was done."""

    message: str
    consent_id: str
    consent: ConsentBody
    receipt: str = Field(description="Signed proof of the consent as it stands: a JWS that anyone can verify; see /docs.")


class RequestAnswer(BaseModel):
    """What a client was asked."""

    message: str
    consent_id: str
    consent: ConsentBody


class ClientConsents(BaseModel):
    """All decisions of a client."""

    client_id: str
    consents: list[ConsentBody]


class EverythingWithdrawn(BaseModel):
    """What is left of all decisions of a client: nothing that is active."""

    client_id: str
    withdrawn: list[ConsentAnswer] = Field(description="One for each company the client had decided on or was asked about.")
