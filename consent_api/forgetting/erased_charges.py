"""What this year's releases have cost clients who were erased: kept under a pseudonym, so that erasure resets no budget."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select

from consent_api.audit import Actor
from consent_api.custody.outside import Custody, custody_of
from consent_api.forgetting.deletion import Order, delete_rows
from consent_api.tables import CHARGES

_PREFIX = "erased/"
_RECIPIENT = "_budget"  # no company can be called so
_OF_NOBODY = CHARGES.c.client_code.between(_PREFIX, _PREFIX + "g")  # pseudonyms are hexadecimal
_HIDDEN = select(CHARGES.c.client_code).where(CHARGES.c.year == bindparam("year"), _OF_NOBODY).distinct()


def hide(connection: Connection, client_code: str, order: Order) -> int:
    """Put the pseudonym in place of the client in its charges; returns how many there were."""
    return _rename(connection, {client_code: _name(custody_of(connection), client_code)}, order)


def find_again(connection: Connection, clients: Iterable[str], actor: Actor, at: datetime) -> None:
    """Give clients who were erased this year, and are here again, what the year has cost them so far."""
    known = set(connection.scalars(_HIDDEN, {"year": at.year}))
    if known:
        custody = custody_of(connection)
        names = {_name(custody, client): client for client in clients}
        _rename(connection, {name: names[name] for name in known & set(names)}, Order("erasure", at, actor, at))


def _name(custody: Custody, client_code: str) -> str:
    return _PREFIX + custody.pseudonym(client_code, _RECIPIENT)


def _rename(connection: Connection, names: dict[str, str], order: Order) -> int:
    chosen = CHARGES.c.client_code.in_(names)
    rows = [dict(row._mapping) for row in connection.execute(select(CHARGES).where(chosen))]
    deleted = delete_rows(connection, CHARGES, chosen, order)
    if rows:
        connection.execute(insert(CHARGES), [{**row, "client_code": names[row["client_code"]]} for row in rows])
    return deleted
