"""Consents: granting, renewing and withdrawing them, and who has one at a given moment.

A record is `active` until one event ends it: `revoked`, `expired`, or `superseded` by its renewal. Nothing is overwritten.
Every function works inside the caller's transaction, which has to be one of `Store.writing` where it writes.
"""

import calendar
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, insert, not_, select

from consent_api import audit
from consent_api.audit import Actor, Entry
from consent_api.tables import EVENTS, RECORDS

ACTIVE, REVOKED, EXPIRED, SUPERSEDED = "active", "revoked", "expired", "superseded"
LONGEST_MONTHS = 12
_CLIENTS_PER_QUERY = 500
_ENDING = EVENTS.alias("ending")

Key = tuple[str, str, str, str]
"""Client, company, data type, purpose: at most one active record each."""


class ExpiryOutOfRange(Exception):
    """A consent ends in the future and at most 12 months from now."""


@dataclass(frozen=True)
class Grant:
    """A consent to be given; without `valid_until` it lasts 12 months."""

    client_code: str
    company: str
    data_type: str
    purpose: str
    valid_until: datetime | None = None

    @property
    def key(self) -> Key:
        """What the record is one of a kind for."""
        return (self.client_code, self.company, self.data_type, self.purpose)


@dataclass(frozen=True)
class Record:
    """A consent as it stands: what was agreed to, its state, and since when and why it is in that state."""

    record_id: str
    consent_id: str
    client_code: str
    company: str
    data_type: str
    purpose: str
    number: int
    given_at: datetime
    valid_until: datetime
    previous_record_id: str | None
    state: str
    status_update_at: datetime
    status_reason: str

    @property
    def key(self) -> Key:
        """What the record is one of a kind for."""
        return (self.client_code, self.company, self.data_type, self.purpose)


def consent_id(client_code: str, company: str) -> str:
    """The id under which all records of one client and company stand."""
    return f"{client_code}_{company}"


def parties(identifier: str) -> tuple[str, str]:
    """Client and company of a consent id; companies have no underscore in their names."""
    client_code, _, company = identifier.rpartition("_")
    return client_code, company


def latest_expiry(at: datetime) -> datetime:
    """The same second of the same day 12 months on; 29 February ends on 28 February."""
    start = at.astimezone(UTC).replace(microsecond=0)
    year = start.year + LONGEST_MONTHS // 12
    day = min(start.day, calendar.monthrange(year, start.month)[1])
    return start.replace(year=year, day=day)


def grant(connection: Connection, grants: Sequence[Grant], actor: Actor, at: datetime, reason: str = "granted") -> list[str]:
    """Give consents, each as a new record that supersedes the active one of its kind; returns their record ids.

    Made for one client's request and for tens of thousands at once. Whether client, company, data type and purpose exist is
    the caller's to know. Of two grants of the same kind in one call the later one holds.

    Raises:
        ExpiryOutOfRange: a `valid_until` is not in the future, or more than 12 months away.
    """
    given_at = at.astimezone(UTC).replace(microsecond=0)
    wanted = {each.key: _valid_until(each, given_at) for each in grants}
    clients = {key[0] for key in wanted}
    expire(connection, at, RECORDS.c.company.in_({key[1] for key in wanted}), clients)
    before = {record.key: record for record in _newest(connection, clients, {key[1] for key in wanted}) if record.key in wanted}
    _end(connection, [old for old in before.values() if old.state == ACTIVE], SUPERSEDED, actor, at, "renewed")
    rows = [_row(key, valid_until, before.get(key), given_at) for key, valid_until in wanted.items()]
    if rows:
        connection.execute(insert(RECORDS), rows)
    _enter(connection, [row["record_id"] for row in rows], ACTIVE, actor, at, reason)
    audit.append(connection, actor, at, [_granted(row) for row in rows])
    return [row["record_id"] for row in rows]


def revoke(
    connection: Connection,
    client_code: str,
    company: str,
    actor: Actor,
    at: datetime,
    data_types: Iterable[str] | None = None,
    purpose: str | None = None,
) -> int:
    """Withdraw a client's active consents for a company (all, or those of some data types or one purpose); returns how many.

    Withdrawing what is not active changes nothing, and is audited all the same.
    """
    expire(connection, at, RECORDS.c.company == company, {client_code})
    chosen = [
        record
        for record in _newest(connection, {client_code}, {company})
        if record.state == ACTIVE
        and (data_types is None or record.data_type in data_types)
        and (purpose is None or record.purpose == purpose)
    ]
    _end(connection, chosen, REVOKED, actor, at, "withdrawn")
    identifier = consent_id(client_code, company)
    audit.append(connection, actor, at, [Entry("consent.revoked", identifier, {"records": [each.record_id for each in chosen]})])
    return len(chosen)


def of_client(connection: Connection, client_code: str, at: datetime, company: str | None = None) -> list[Record]:
    """The newest record of every company, data type and purpose of a client, in the state it has at `at`."""
    expire(connection, at, RECORDS.c.client_code == client_code)
    return _newest(connection, {client_code}, None if company is None else {company})


def cohort(connection: Connection, company: str, data_type: str, purpose: str, at: datetime) -> list[str]:
    """The clients whose consent for this company, data type and purpose is active at `at`."""
    consenting = _consenting(company, data_type, purpose, at)
    return list(connection.scalars(select(RECORDS.c.client_code).where(consenting).order_by(RECORDS.c.client_code)))


def any_active(connection: Connection, company: str, data_type: str, purpose: str, at: datetime) -> bool:
    """Whether `cohort` would find anybody."""
    return bool(connection.scalar(select(exists().where(_consenting(company, data_type, purpose, at)))))


def expire(connection: Connection, at: datetime, among: ColumnElement[bool], clients: Iterable[str] | None = None) -> int:
    """Write down the end of the consents whose time is over; returns how many ended.

    A consent stops counting at its last second whether or not this was called: it only makes the end part of the history.
    """
    overdue = and_(among, RECORDS.c.valid_until <= at, not_(_has_ended()))
    ends: list[dict[str, Any]] = []
    for within in _slices(clients):
        for record_id, ended_at in connection.execute(select(RECORDS.c.record_id, RECORDS.c.valid_until).where(overdue, within)):
            ends.append({"record_id": record_id, "state": EXPIRED, "at": ended_at, "actor": "clock", "reason": "time over"})
    if ends:
        connection.execute(insert(EVENTS), ends)
    return len(ends)


def _valid_until(wanted: Grant, given_at: datetime) -> datetime:
    latest = latest_expiry(given_at)
    if wanted.valid_until is None:
        return latest
    valid_until = wanted.valid_until.astimezone(UTC)
    if not given_at < valid_until <= latest:
        raise ExpiryOutOfRange(f"a consent ends after {given_at.isoformat()} and at the latest on {latest.isoformat()}")
    return valid_until


def _row(key: Key, valid_until: datetime, previous: Record | None, given_at: datetime) -> dict[str, Any]:
    client_code, company, data_type, purpose = key
    return {
        "record_id": uuid4().hex,
        "consent_id": consent_id(client_code, company),
        "client_code": client_code,
        "company": company,
        "data_type": data_type,
        "purpose": purpose,
        "number": previous.number + 1 if previous else 1,
        "given_at": given_at,
        "valid_until": valid_until,
        "previous_record_id": previous.record_id if previous else None,
    }


def _granted(row: dict[str, Any]) -> Entry:
    detail = {name: row[name] for name in ("record_id", "data_type", "purpose", "valid_until")}
    return Entry("consent.granted", row["consent_id"], detail)


def _end(connection: Connection, records: list[Record], state: str, actor: Actor, at: datetime, reason: str) -> None:
    _enter(connection, [record.record_id for record in records], state, actor, at, reason)


def _enter(connection: Connection, record_ids: list[str], state: str, actor: Actor, at: datetime, reason: str) -> None:
    shared = {"state": state, "at": at, "actor": actor.name, "reason": reason}
    if record_ids:
        connection.execute(insert(EVENTS), [{"record_id": record_id, **shared} for record_id in record_ids])


def _newest(connection: Connection, clients: set[str], companies: set[str] | None) -> list[Record]:
    newest: dict[Key, Record] = {}
    for within in _slices(clients):
        statement = (
            _with_state().where(within).order_by(RECORDS.c.company, RECORDS.c.data_type, RECORDS.c.purpose, RECORDS.c.number)
        )
        if companies is not None:
            statement = statement.where(RECORDS.c.company.in_(companies))
        for row in connection.execute(statement):
            record = Record(*row)
            newest[record.key] = record
    return list(newest.values())


def _with_state() -> Select[Any]:
    """Every record with the event that ended it, else the one that began it."""
    last = and_(EVENTS.c.record_id == RECORDS.c.record_id, (EVENTS.c.state != ACTIVE) | not_(_has_ended()))
    return select(*RECORDS.c, EVENTS.c.state, EVENTS.c.at, EVENTS.c.reason).select_from(RECORDS.join(EVENTS, last))


def _consenting(company: str, data_type: str, purpose: str, at: datetime) -> ColumnElement[bool]:
    kind = and_(RECORDS.c.company == company, RECORDS.c.data_type == data_type, RECORDS.c.purpose == purpose)
    return and_(kind, RECORDS.c.given_at <= at, RECORDS.c.valid_until > at, not_(_has_ended()))


def _has_ended() -> ColumnElement[bool]:
    return exists().where(_ENDING.c.record_id == RECORDS.c.record_id, _ENDING.c.state != ACTIVE)


def _slices(clients: Iterable[str] | None) -> list[ColumnElement[bool]]:
    """Conditions that each name few enough clients for one statement."""
    if clients is None:
        return [RECORDS.c.client_code.is_not(None)]
    ordered = sorted(clients)
    starts = range(0, len(ordered), _CLIENTS_PER_QUERY)
    return [RECORDS.c.client_code.in_(ordered[start : start + _CLIENTS_PER_QUERY]) for start in starts]
