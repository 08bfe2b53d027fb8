"""Consents: asking for them, giving, renewing and withdrawing them, and whether anybody has one at a given moment.

Nothing is overwritten: a record is added, and events end it (see states.py). Every function works inside the caller's
transaction, which has to be one of `Store.writing` where it writes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, exists, insert, not_, select

from consent_api import audit
from consent_api.audit import Actor, Entry
from consent_api.custody import withdrawals
from consent_api.custody.withdrawals import Withdrawal
from consent_api.forgetting import erased_charges
from consent_api.prepared import Prepared
from consent_api.record.current import Key, Record, by_choice, choices, consent_id, consenting, has_begun, has_ended, newest
from consent_api.record.notices import Language, notices_of
from consent_api.record.states import ACTIVE, EXPIRED, REJECTED, REQUESTED, REVOKED, SUPERSEDED, State, require_transition
from consent_api.record.validity import expiry, whole_second
from consent_api.tables import EVENTS, RECORDS
from identifiers import new_ids

_CLOCK = Actor("clock", "clock")
_OPEN = (REQUESTED, ACTIVE)
_ADD_RECORDS, _ADD_EVENTS = insert(RECORDS), insert(EVENTS)
_CONSENTING = consenting(*(bindparam(name) for name in ("company", "data_type", "purpose", "at")))
_ANY_ACTIVE = Prepared(select(exists().where(_CONSENTING)))
_OVERDUE = by_choice(
    select(RECORDS.c.record_id, RECORDS.c.valid_until, has_begun()).where(
        RECORDS.c.valid_until <= bindparam("at"), not_(has_ended())
    )
)


@dataclass(frozen=True)
class Grant:
    """A consent to be given or asked for: by default for 12 months, under the text in the language clients are addressed in."""

    client_code: str
    company: str
    data_type: str
    purpose: str
    valid_until: datetime | None = None
    language: Language | None = None

    @property
    def key(self) -> Key:
        """What the record is one of a kind for."""
        return (self.client_code, self.company, self.data_type, self.purpose)


@dataclass(frozen=True)
class _Cause:
    """Who changes something, when, how and why: the same in all events of one call."""

    actor: Actor
    at: datetime
    channel: str

    def events(self, records: Iterable[tuple[str, State | None]], after: State, reason: str) -> list[dict[str, Any]]:
        """One event per record and the state it is in."""
        shared = {"state": after, "at": self.at, "actor": self.actor.name, "role": self.actor.role}
        rows = []
        for record_id, before in records:
            require_transition(before, after)
            rows.append({"record_id": record_id, **shared, "channel": self.channel, "reason": reason})
        return rows


def grant(
    connection: Connection,
    grants: Sequence[Grant],
    actor: Actor,
    at: datetime,
    reason: str = "granted",
    channel: str = "internal",
) -> list[str]:
    """Give consents; returns their record ids.

    A request under the text in force becomes active; otherwise a new record does, which ends the one before it. Made for one
    client's request and for tens of thousands at once. Whether the client exists is the caller's to know. Of two grants of the
    same kind in one call the later one holds.

    Raises:
        ExpiryOutOfRange: a `valid_until` is not in the future, or more than 12 months away.
        NotInCatalogue: no such company, data type or purpose.
    """
    cause, wanted = _Cause(actor, at, channel), {each.key: each for each in grants}
    rows = {key: _row(connection, each, at) for key, each in wanted.items()}
    before = _before(connection, rows, at)
    erased_charges.find_again(connection, {key[0] for key in wanted}, actor, at)
    approved = {key: old for key, old in before.items() if old.state == REQUESTED and _answers(wanted[key], rows[key], old)}
    renewed = [old for old in before.values() if old.state == ACTIVE]
    replaced = [old for key, old in before.items() if old.state == REQUESTED and key not in approved]
    given = [_following(row, before.get(key)) for key, row in rows.items() if key not in approved]
    events = cause.events(_states(renewed), SUPERSEDED, "renewed")
    events += cause.events(_states(replaced), REJECTED, "replaced")
    events += cause.events([*_states(approved.values()), *((row["record_id"], None) for row in given)], ACTIVE, reason)
    _write(connection, given, events)
    _note(connection, "shortened", [old for old in renewed if old.valid_until > rows[old.key]["valid_until"]], at)
    agreed = [vars(approved[key]) if key in approved else row for key, row in rows.items()]
    audit.append(connection, actor, at, [_entry("consent.granted", each) for each in agreed])
    return [each["record_id"] for each in agreed]


def request(connection: Connection, asked: Sequence[Grant], actor: Actor, at: datetime, channel: str = "internal") -> list[str]:
    """Ask a client for consents; returns the record ids of those that were not given or asked for already.

    A request counts for nothing until the client agrees; unanswered, it is rejected at the end of the time it asks for.

    Raises:
        ExpiryOutOfRange, NotInCatalogue: as for `grant`.
    """
    cause, rows = _Cause(actor, at, channel), {each.key: _row(connection, each, at) for each in asked}
    before = _before(connection, rows, at)
    new = [_following(row, before.get(key)) for key, row in rows.items() if key not in before or before[key].state not in _OPEN]
    _write(connection, new, cause.events([(row["record_id"], None) for row in new], REQUESTED, "asked"))
    audit.append(connection, actor, at, [_entry("consent.requested", row) for row in new])
    return [row["record_id"] for row in new]


def revoke(
    connection: Connection,
    client_code: str,
    company: str,
    actor: Actor,
    at: datetime,
    data_types: Iterable[str] | None = None,
    purpose: str | None = None,
    channel: str = "internal",
) -> int:
    """End a client's consents and requests for a company (all, or those of some data types or one purpose); returns how many.

    Withdrawing what is not active changes nothing, and is audited all the same.
    """
    chosen = [
        record
        for record in of_client(connection, client_code, at, company)
        if record.state in _OPEN
        and (data_types is None or record.data_type in data_types)
        and (purpose is None or record.purpose == purpose)
    ]
    cause = _Cause(actor, at, channel)
    active = [record for record in chosen if record.state == ACTIVE]
    declined = [record for record in chosen if record.state == REQUESTED]
    events = cause.events(_states(active), REVOKED, "withdrawn") + cause.events(_states(declined), REJECTED, "declined")
    _write(connection, [], events)
    _note(connection, "withdrawn", active, at)
    detail = {"company": company, "records": [each.record_id for each in chosen]}
    audit.append(connection, actor, at, [Entry("consent.revoked", detail=detail, client=client_code)])
    return len(chosen)


def revoke_everything(
    connection: Connection, client_code: str, actor: Actor, at: datetime, channel: str = "internal"
) -> dict[str, int]:
    """`revoke` for every company that a client has any record for; by company, how many ended."""
    companies = sorted({record.company for record in of_client(connection, client_code, at)})
    return {company: revoke(connection, client_code, company, actor, at, channel=channel) for company in companies}


def of_client(connection: Connection, client_code: str, at: datetime, company: str | None = None) -> list[Record]:
    """The newest record of every company, data type and purpose of a client, in the state it has at `at`."""
    expire(connection, at, company, {client_code})
    return newest(connection, {client_code}, company)


def any_active(connection: Connection, company: str, data_type: str, purpose: str, at: datetime) -> bool:
    """Whether any client's consent for this company, data type and purpose is active at `at`."""
    asked = {"company": company, "data_type": data_type, "purpose": purpose, "at": at}
    return any(found for (found,) in _ANY_ACTIVE.rows(connection, asked))


def expire(connection: Connection, at: datetime, company: str | None = None, clients: Iterable[str] | None = None) -> int:
    """Write down the end of the consents and requests (of a company, of clients) whose time is over; returns how many ended.

    A consent stops counting at its last second whether or not this was called: it only makes the end part of the history.
    """
    ends: list[dict[str, Any]] = []
    for some in choices(company, clients):
        for record_id, ended_at, has_been_active in connection.execute(_OVERDUE[frozenset(some)], {**some, "at": at}):
            cause = _Cause(_CLOCK, ended_at, "clock")
            ends += cause.events(
                [(record_id, ACTIVE if has_been_active else REQUESTED)], EXPIRED if has_been_active else REJECTED, "time over"
            )
    _write(connection, [], ends)
    return len(ends)


def _before(connection: Connection, wanted: Mapping[Key, object], at: datetime) -> dict[Key, Record]:
    before: dict[Key, Record] = {}
    for company in {key[1] for key in wanted}:
        clients = {key[0] for key in wanted if key[1] == company}
        expire(connection, at, company, clients)
        before |= {record.key: record for record in newest(connection, clients, company) if record.key in wanted}
    return before


def _row(connection: Connection, wanted: Grant, at: datetime) -> dict[str, Any]:
    client_code, company, data_type, purpose = wanted.key
    return {
        "record_id": new_ids(1)[0],
        "consent_id": consent_id(client_code, company),
        "client_code": client_code,
        "company": company,
        "data_type": data_type,
        "purpose": purpose,
        "created_at": whole_second(at),
        "valid_until": expiry(wanted.valid_until, at),
        "notice_id": notices_of(connection).shown(company, data_type, purpose, wanted.language).notice_id,
    }


def _following(row: dict[str, Any], previous: Record | None) -> dict[str, Any]:
    row["number"] = previous.number + 1 if previous else 1
    row["previous_record_id"] = previous.record_id if previous else None
    return row


def _answers(wanted: Grant, row: Mapping[str, Any], asked: Record) -> bool:
    """Whether a client agrees to just what it was asked, rather than to another text or another end."""
    same_end = wanted.valid_until is None or row["valid_until"] == asked.valid_until
    return same_end and bool(row["notice_id"] == asked.notice_id)


def _states(records: Iterable[Record]) -> list[tuple[str, State | None]]:
    return [(record.record_id, record.state) for record in records]


def _write(connection: Connection, records: list[dict[str, Any]], events: list[dict[str, Any]]) -> None:
    if records:
        connection.execute(_ADD_RECORDS, records)
    if events:
        connection.execute(_ADD_EVENTS, events)


def _entry(action: str, row: Mapping[str, Any]) -> Entry:
    detail = {name: row[name] for name in ("company", "record_id", "data_type", "purpose", "valid_until")}
    return Entry(action, detail=detail, client=row["client_code"])


def _note(connection: Connection, kind: withdrawals.Kind, records: Iterable[Record], at: datetime) -> None:
    withdrawals.note(connection, [_withdrawal(kind, record, at) for record in records])


def _withdrawal(kind: withdrawals.Kind, record: Record, at: datetime) -> Withdrawal:
    return Withdrawal(
        kind,
        record.client_code,
        at,
        company=record.company,
        data_type=record.data_type,
        purpose=record.purpose,
        number=record.number,
        record_id=record.record_id,
    )
