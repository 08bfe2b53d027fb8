"""After a restored backup: what the database has forgotten is brought back before anything is served or computed.

Withdrawals and ends of keys are carried out again, and releases are those that partners have read. The service does so by itself
when it starts, and the flow `aggregate` before it counts anybody; `python -m consent_api.restore` does it and says what it found.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, not_, select

from clock import now
from consent_api import consents, release_log
from consent_api.audit import Actor
from consent_api.callers import credentials
from consent_api.custody import withdrawals
from consent_api.custody.append_only import AppendOnlyFile, Line
from consent_api.custody.chained import NotAsWritten, intact
from consent_api.custody.outside import Custody, custody_of
from consent_api.custody.withdrawals import SEALED, NotLogged, Withdrawal
from consent_api.forgetting import erasure
from consent_api.record.current import has_ended
from consent_api.record.states import ACTIVE, REVOKED
from consent_api.store import Store, open_store
from consent_api.tables import EVENTS, KEYS, RECORDS
from settings import settings

ACTOR = Actor("restore", "operator")
_LONGEST = timedelta(days=367)
_NEVER = datetime.min.replace(tzinfo=UTC)
_AT_ONCE = 500
_SUBJECT = tuple(RECORDS.c[name] for name in ("record_id", "client_code", "company", "data_type", "purpose"))
_Kind = tuple[str, str, str, str]
"""Pseudonym, company, data type, purpose."""


class BrokenLog(Exception):
    """A log is not as it was written, so nobody can say what was withdrawn or what partners have read: nothing is served."""

    def __init__(self, log: AppendOnlyFile, number: int, otherwise: str) -> None:
        what = f"line {number} of {log.path} is not as it was written"
        super().__init__(f"{what}: put the file back as it was, because without it {otherwise}")


@dataclass(frozen=True)
class Replayed:
    """What the database had forgotten: consents, keys ended again, erasures due again, releases; and what is new to the log."""

    withdrawn: int
    erasures: int
    added_to_log: int
    releases: int = 0
    keys: int = 0


def replay(store: Store, at: datetime, working_days: int) -> Replayed:
    """Bring database and logs together, in one transaction.

    A consent ends if the log has its record, or an older one of its kind: the log of a withdrawal may name a renewal that the
    backup never saw.

    Raises:
        BrokenLog: a log is not as it was written.
        DBAPIError: the database does not answer.
    """
    with store.writing() as connection:
        lines = read_log(store.custody)
        releases = _put_releases_back(connection, at)  # first: whoever is withdrawn below may have been counted
        withdrawn = _withdraw_again(connection, lines, at)
        erasures = _erase_again(connection, lines, at, working_days)
        keys = _end_keys_again(connection, lines, at)
        return Replayed(withdrawn, erasures, _complete(connection, lines), releases, keys)


def read_log(custody: Custody) -> list[Line]:
    """Every line of the log, checked against the one before it.

    Raises:
        BrokenLog: naming the first that is not as it was written.
    """
    try:
        return list(intact(custody.withdrawals.read(), SEALED))
    except NotAsWritten as error:
        raise BrokenLog(custody.withdrawals, error.number, "withdrawn consents could come back") from error


def _put_releases_back(connection: Connection, at: datetime) -> int:
    try:
        return release_log.put_back(connection, ACTOR, at)
    except NotAsWritten as error:
        log = custody_of(connection).released
        raise BrokenLog(log, error.number, "a month could be released a second time") from error


def _withdraw_again(connection: Connection, lines: Iterable[Line], at: datetime) -> int:
    """End what is active although the log, or a renewal that it names, has ended it; returns how many.

    Lines older than the longest consent are about nothing that could still be active, whatever was restored.
    """
    logged = [line for line in lines if line["kind"] in ("withdrawn", "shortened") and _moment(line) > at - _LONGEST]
    forgotten, known = _still_active(connection, [line["record_id"] for line in logged])
    erased = {line["client"]: _moment(line) for line in lines if line["kind"] == "erased"}
    unseen = [line for line in logged if line["record_id"] not in known and _moment(line) > erased.get(line["client"], _NEVER)]
    if unseen:
        forgotten += _renewed_unseen(connection, unseen)
    ended = {record.record_id: record for record in forgotten}.values()
    return sum(
        consents.revoke(connection, record.client_code, record.company, ACTOR, at, [record.data_type], record.purpose)
        for record in ended
    )


def _still_active(connection: Connection, record_ids: Sequence[str]) -> tuple[list[Any], set[str]]:
    """The records that nothing has ended, of those with these ids; and the ids that are there at all."""
    active, known = [], set[str]()
    columns = (*_SUBJECT, has_ended().label("is_over"))
    for start in range(0, len(record_ids), _AT_ONCE):
        some = record_ids[start : start + _AT_ONCE]
        rows = connection.execute(select(*columns).where(RECORDS.c.record_id.in_(some))).all()
        known |= {row.record_id for row in rows}
        active += [row for row in rows if not row.is_over]
    return active, known


def _renewed_unseen(connection: Connection, lines: Iterable[Line]) -> list[Any]:
    """The active consents of a kind of which these lines have ended a later record, one that the backup never saw."""
    newest: dict[_Kind, tuple[datetime, int]] = {}
    for line in lines:
        kind = (line["client"], line["company"], line["data_type"], line["purpose"])
        newest[kind] = (_moment(line), line["number"])
    pseudonym, found = custody_of(connection).pseudonym, []
    for record in _active(connection):
        kind = (pseudonym(record.client_code), record.company, record.data_type, record.purpose)
        ended_at, number = newest.get(kind, (record.began_at, 0))
        if record.began_at < ended_at and record.number <= number:
            found.append(record)
    return found


def _active(connection: Connection) -> Iterable[Any]:
    """The consents that nothing has ended, with the moment each became active."""
    began = and_(EVENTS.c.record_id == RECORDS.c.record_id, EVENTS.c.state == ACTIVE)
    joined = select(*_SUBJECT, RECORDS.c.number, EVENTS.c.at.label("began_at")).select_from(RECORDS.join(EVENTS, began))
    return connection.execute(joined.where(not_(has_ended())))


def _moment(line: Line) -> datetime:
    return datetime.fromisoformat(line["at"])


def _erase_again(connection: Connection, lines: Iterable[Line], at: datetime, working_days: int) -> int:
    asked = {line["client"]: _moment(line) for line in lines if line["kind"] == "erased"}
    pseudonym = custody_of(connection).pseudonym
    count = 0
    for client_code in erasure.not_asked(connection) if asked else ():
        asked_at = asked.get(pseudonym(client_code))
        if asked_at is not None and erasure.has_data_before(connection, client_code, asked_at):
            erasure.request(connection, client_code, ACTOR, at, erasure.due(asked_at, working_days))
            count += 1
    return count


def _end_keys_again(connection: Connection, lines: Iterable[Line], at: datetime) -> int:
    """Have the keys end that were revoked, or replaced by others, after the backup; returns how many."""
    ends: dict[str, datetime] = {}
    for line in lines:
        if line["kind"] == "key_ended":
            ends[line["record_id"]] = min(_moment(line), ends.get(line["record_id"], _moment(line)))
    count = 0
    for key in connection.execute(select(KEYS.c.key_id, KEYS.c.expires_at).where(KEYS.c.revoked_at.is_(None))).all():
        if key.key_id in ends and (key.expires_at is None or key.expires_at > ends[key.key_id]):
            credentials.end_at(connection, key.key_id, ends[key.key_id], ACTOR, at)
            count += 1
    return count


def _complete(connection: Connection, lines: Iterable[Line]) -> int:
    """Add what the log has lost: withdrawals and keys from before they were kept in it, or whose file was not brought along."""
    known = {line["record_id"] for line in lines}
    revoked = connection.execute(select(KEYS.c.key_id, KEYS.c.revoked_at).where(KEYS.c.revoked_at.is_not(None)))
    keys = [Withdrawal("key_ended", "", key.revoked_at, record_id=key.key_id) for key in revoked if key.key_id not in known]
    withdrawals.note(connection, keys)
    withdrawn = connection.scalars(select(EVENTS.c.record_id).where(EVENTS.c.state == REVOKED))
    lost = [record_id for record_id in withdrawn if record_id not in known]
    ended = and_(EVENTS.c.record_id == RECORDS.c.record_id, EVENTS.c.state == REVOKED)
    joined = select(*RECORDS.c, EVENTS.c.at.label("ended_at")).select_from(RECORDS.join(EVENTS, ended))
    for start in range(0, len(lost), _AT_ONCE):
        some = RECORDS.c.record_id.in_(lost[start : start + _AT_ONCE])
        withdrawals.note(connection, [_withdrawal(row) for row in connection.execute(joined.where(some))])
    return len(lost) + len(keys)


def _withdrawal(row: Any) -> Withdrawal:
    return Withdrawal(
        "withdrawn", row.client_code, row.ended_at, row.company, row.data_type, row.purpose, row.number, row.record_id
    )


def main() -> int:
    """Replay the logs; returns the exit status."""
    try:
        done = replay(open_store(settings()), now(), settings().erasure_working_days)
    except (BrokenLog, NotLogged) as error:
        print(error, file=sys.stderr)
        return 1
    print(
        f"withdrawals carried out again: {done.withdrawn}; erasures due again: {done.erasures}; keys ended again: {done.keys}; "
        f"withdrawals and ends of keys that the log did not have: {done.added_to_log}; releases put back: {done.releases}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
