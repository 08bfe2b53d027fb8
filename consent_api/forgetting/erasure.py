"""A client's data deleted on demand: consents end at once, the rows within ten working days."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, exists, insert, or_, select

from consent_api import audit, consents
from consent_api.audit import Actor, Entry
from consent_api.custody import withdrawals
from consent_api.custody.withdrawals import Withdrawal
from consent_api.forgetting import erased_charges
from consent_api.forgetting.deletion import Order, delete_rows
from consent_api.prepared import Prepared
from consent_api.tables import ANSWERS, ERASURES, EVENTS, KEYS, RECORDS

_SATURDAY = 5
_DUE_AT = select(ERASURES.c.due_at).where(ERASURES.c.client_code == bindparam("client_code"))
_ASKED = Prepared(select(ERASURES.c.client_code).where(ERASURES.c.client_code == bindparam("client_code")))


def due(requested_at: datetime, working_days: int) -> datetime:
    """The same time of day so many working days on; public holidays are not known here and only make it sooner than the law."""
    moment, left = requested_at, working_days
    while left:
        moment += timedelta(days=1)
        left -= moment.weekday() < _SATURDAY
    return moment


def request(connection: Connection, client_code: str, actor: Actor, at: datetime, due_at: datetime) -> datetime:
    """Withdraw all consents of a client and have its data deleted by `due_at`; asked again, the first deadline holds."""
    pending = connection.scalar(_DUE_AT, {"client_code": client_code})
    consents.revoke_everything(connection, client_code, actor, at)
    entry = Entry("erasure.requested", detail={"due_at": pending or due_at}, client=client_code)
    audit.append(connection, actor, at, [entry])
    if pending is not None:
        return pending
    withdrawals.note(connection, [Withdrawal("erased", client_code, at)])
    connection.execute(insert(ERASURES).values(client_code=client_code, requested_at=at, due_at=due_at))
    return due_at


def carry_out_asked(connection: Connection, client_code: str, actor: Actor, at: datetime) -> int:
    """`carry_out` what the client has asked for, if it has: also before it decides anew, or a later run would take that too."""
    if not _ASKED.rows(connection, {"client_code": client_code}):
        return 0
    due_at = connection.execute(_DUE_AT, {"client_code": client_code}).scalar_one()
    return carry_out(connection, client_code, due_at, actor, at)


def carry_out(connection: Connection, client_code: str, due_at: datetime, actor: Actor, at: datetime) -> int:
    """Delete every row that names the client; returns how many.

    What this year's releases have cost the client is kept under a pseudonym until the year is over: whoever comes back
    finds it again, so that asking for erasure resets no budget.
    """
    order = Order("erasure", due_at, actor, at)
    records = select(RECORDS.c.record_id).where(RECORDS.c.client_code == client_code)
    count = delete_rows(connection, EVENTS, EVENTS.c.record_id.in_(records), order)
    count += delete_rows(connection, RECORDS, RECORDS.c.client_code == client_code, order)
    answered = or_(ANSWERS.c.client_code == client_code, ANSWERS.c.owner == f"client:{client_code}")
    count += delete_rows(connection, ANSWERS, answered, order)
    count += erased_charges.hide(connection, client_code, order)
    connection.execute(delete(KEYS).where(KEYS.c.role == "client", KEYS.c.subject == client_code))
    connection.execute(delete(ERASURES).where(ERASURES.c.client_code == client_code))
    audit.append(connection, actor, at, [Entry("erasure.carried_out", detail={"rows": count}, client=client_code)])
    return count


def has_data_before(connection: Connection, client_code: str, moment: datetime) -> bool:
    """Whether consents or keys of a client date from before `moment`."""
    mine = RECORDS.c.client_code == client_code
    consented = exists().where(EVENTS.c.record_id == RECORDS.c.record_id, mine, EVENTS.c.at < moment)
    keyed = exists().where(KEYS.c.role == "client", KEYS.c.subject == client_code, KEYS.c.issued_at < moment)
    return bool(connection.scalar(select(or_(consented, keyed))))


def not_asked(connection: Connection) -> set[str]:
    """The clients with consents or keys whose erasure nobody waits for."""
    consenting = connection.scalars(select(RECORDS.c.client_code).distinct())
    keyed = connection.scalars(select(KEYS.c.subject).where(KEYS.c.role == "client"))
    return (set(consenting) | set(keyed)) - set(connection.scalars(select(ERASURES.c.client_code)))
