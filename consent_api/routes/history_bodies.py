"""What clients are told about themselves."""

from datetime import datetime

from pydantic import BaseModel, Field


class EventBody(BaseModel):
    """Something that happened to a consent."""

    at: datetime
    company: str
    data_type: str
    purpose: str
    record_id: str
    state: str = Field(description="The state it entered: requested, active, rejected, revoked, expired or superseded.")
    reason: str
    role: str = Field(description="Whose doing it was.")
    channel: str
    valid_until: datetime


class History(BaseModel):
    """What happened to a client's consents, oldest first."""

    client_id: str
    events: list[EventBody]
    next: str | None = Field(description="Send it as `after` for the next page; null on the last one.")


class Disclosure(BaseModel):
    """A release that counted the client, or left it out."""

    at: datetime = Field(description="When it was decided whom to count.")
    company: str
    data_type: str
    period: str
    release_id: str
    published: bool = Field(description="Whether the company can read the report by now.")
    counted: bool = Field(description="False: left out, because the client's privacy budget of the year did not cover it.")
    rho: float = Field(description="What it cost of the client's budget of the year.")


class Disclosures(BaseModel):
    """Where a client's data went, oldest first, always as a part of anonymised sums."""

    client_id: str
    year: int
    spent_rho: float = Field(description="What the reports of this year have cost so far, all companies together.")
    yearly_rho: float = Field(description="What they may cost in a year; then the client is left out.")
    disclosures: list[Disclosure]
    next: str | None = Field(description="Send it as `after` for the next page; null on the last one.")


class Spent(BaseModel):
    """An amount in tenge."""

    title: str
    amount_kzt: float


class MonthSpent(BaseModel):
    """What was spent in a calendar month."""

    month: str = Field(description="Like 2026-10.", examples=["2026-10"])
    amount_kzt: float


class OwnSpending(BaseModel):
    """The client's purchases in the newest twelve full calendar months."""

    months: list[MonthSpent] = Field(description="Newest first.")
    categories: list[Spent] = Field(description="Those with any spending, largest first.")
    purchases: int
    as_of: datetime


class ClientProfile(BaseModel):
    """What the bank knows of a client here."""

    client_id: str
    name: str | None
    status: str | None
    age: int | None
    city: str | None
    products: list[str]
    spending: OwnSpending | None = Field(description="Null: no purchases in these months.")
