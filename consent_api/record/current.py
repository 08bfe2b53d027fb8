"""Consent records as they stand: what was agreed to, and everything that happened to it since."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Connection, Select, and_, bindparam, exists, func, not_, or_, select

from consent_api.record.states import ACTIVE, FINAL, State, rank
from consent_api.tables import EVENTS, RECORDS

_CLIENTS_PER_QUERY = 500
_ENDING, _BEGINNING, _HAPPENED = EVENTS.alias("ending"), EVENTS.alias("beginning"), EVENTS.alias("happened")
_LATER = RECORDS.alias("later")
_EVENT = (EVENTS.c.state, EVENTS.c.at, EVENTS.c.role, EVENTS.c.channel, EVENTS.c.reason)

_KIND = ("client_code", "company", "data_type", "purpose")
_AMONG = {
    "company": RECORDS.c.company == bindparam("company"),
    "client": RECORDS.c.client_code == bindparam("client"),
    "clients": RECORDS.c.client_code.in_(bindparam("clients", expanding=True)),
}
_CHOICES = ((), ("company",), ("client",), ("clients",), ("company", "client"), ("company", "clients"))

_Text = str | BindParameter[str]
_Moment = datetime | BindParameter[datetime]
Key = tuple[str, str, str, str]
"""Client, company, data type, purpose: at most one record at a time is requested or active."""


@dataclass(frozen=True)
class Event:
    """A record entered a state: when (UTC), whose doing it was, by which channel, and why."""

    state: State
    at: datetime
    role: str
    channel: str
    reason: str


@dataclass(frozen=True)
class Record:
    """One consent and its events, oldest first; `valid_until` is the moment from which it does not count."""

    record_id: str
    client_code: str
    company: str
    data_type: str
    purpose: str
    number: int
    created_at: datetime
    valid_until: datetime
    previous_record_id: str | None
    notice_id: str
    events: tuple[Event, ...]

    @property
    def key(self) -> Key:
        """What the record is one of a kind for."""
        return (self.client_code, self.company, self.data_type, self.purpose)

    @property
    def state(self) -> State:
        """The state that was entered last."""
        return self.events[-1].state

    @property
    def status_update_at(self) -> datetime:
        """When it was entered."""
        return self.events[-1].at

    @property
    def status_reason(self) -> str:
        """Why it was entered."""
        return self.events[-1].reason

    @property
    def given_at(self) -> datetime | None:
        """When the client agreed; None for a request that was never approved."""
        return next((event.at for event in self.events if event.state == ACTIVE), None)


def consent_id(client_code: str, company: str) -> str:
    """The id under which all records of one client and company stand."""
    return f"{client_code}_{company}"


def parties(identifier: str) -> tuple[str, str]:
    """Client and company of a consent id; companies have no underscore in their names."""
    client_code, _, company = identifier.rpartition("_")
    return client_code, company


def newest(connection: Connection, clients: Iterable[str], company: str | None = None) -> list[Record]:
    """The newest record of every company (or of one), data type and purpose of these clients, as it was last written down."""
    rows = [row for some in choices(company, clients) for row in connection.execute(_NEWEST[frozenset(some)], some)]
    return [_record(list(events)) for _, events in groupby(rows, lambda row: row.record_id)]


def version(connection: Connection, client_code: str, company: str) -> int:
    """How many events the consents of a client for a company have seen: grows with every change."""
    return int(connection.scalar(_EVENTS_SEEN, {"client_code": client_code, "company": company}) or 0)


def has_records(connection: Connection, client_code: str) -> bool:
    """Whether there is anything on record that a client was asked or gave."""
    return connection.scalar(_ANY_RECORD, {"client_code": client_code}) is not None


def consenting(company: _Text, data_type: _Text, purpose: _Text, at: _Moment) -> ColumnElement[bool]:
    """The condition on `RECORDS` of being an active consent at `at`; of values, or of parameters that get theirs later."""
    kind = and_(RECORDS.c.company == company, RECORDS.c.data_type == data_type, RECORDS.c.purpose == purpose)
    return and_(kind, RECORDS.c.valid_until > at, _has_begun_and_not_ended(at))


def _has_begun_and_not_ended(at: _Moment) -> ColumnElement[bool]:
    """By one look at the events of a record: in a cohort of a hundred thousand each look counts."""
    begun = func.count().filter(_HAPPENED.c.state == ACTIVE, _HAPPENED.c.at <= at)
    ended = func.count().filter(or_(*(_HAPPENED.c.state == final for final in FINAL)))
    counted = select(and_(begun > 0, ended == 0)).where(_HAPPENED.c.record_id == RECORDS.c.record_id)
    return counted.correlate(RECORDS).scalar_subquery()


def has_ended() -> ColumnElement[bool]:
    """The condition on `RECORDS` of having entered a final state."""
    return exists().where(_ENDING.c.record_id == RECORDS.c.record_id, or_(*(_ENDING.c.state == final for final in FINAL)))


def has_begun() -> ColumnElement[bool]:
    """The condition on `RECORDS` of having been active, at whatever time."""
    return exists().where(_BEGINNING.c.record_id == RECORDS.c.record_id, _BEGINNING.c.state == ACTIVE)


def by_choice(statement: Select[Any]) -> dict[frozenset[str], Select[Any]]:
    """`statement` for every kind of choice among `RECORDS`: built once, because building takes longer than the database does."""
    return {frozenset(kind): statement.where(*(_AMONG[name] for name in kind)) for kind in _CHOICES}


def choices(company: str | None, clients: Iterable[str] | None) -> list[dict[str, Any]]:
    """Parameters for the statement that `by_choice` has for their names: of a company, and of clients, few enough for each."""
    of = {} if company is None else {"company": company}
    if clients is None:
        return [of]
    ordered = sorted(set(clients))
    if len(ordered) == 1:
        return [{**of, "client": ordered[0]}]
    parts = (ordered[start : start + _CLIENTS_PER_QUERY] for start in range(0, len(ordered), _CLIENTS_PER_QUERY))
    return [{**of, "clients": part} for part in parts]


def _is_followed() -> ColumnElement[bool]:
    kind = (_LATER.c[name] == RECORDS.c[name] for name in _KIND)
    return exists().where(*kind, _LATER.c.number > RECORDS.c.number)


_JOINED = select(RECORDS).join_from(RECORDS, EVENTS, EVENTS.c.record_id == RECORDS.c.record_id)
_NEWEST = by_choice(
    _JOINED.with_only_columns(*(RECORDS.c[name] for name in Record.__dataclass_fields__ if name != "events"), *_EVENT)
    .where(not_(_is_followed()))
    .order_by(*(RECORDS.c[name] for name in _KIND))
)
_ANY_RECORD = select(RECORDS.c.record_id).where(RECORDS.c.client_code == bindparam("client_code")).limit(1)
_EVENTS_SEEN = _JOINED.with_only_columns(func.count(), maintain_column_froms=True).where(
    RECORDS.c.client_code == bindparam("client_code"), RECORDS.c.company == bindparam("company")
)


def _record(rows: list[Any]) -> Record:
    events = [Event(*row[-len(_EVENT) :]) for row in rows]
    events.sort(key=lambda event: rank(event.state))
    values: list[Any] = [*rows[0][: -len(_EVENT)], tuple(events)]
    return Record(*values)
