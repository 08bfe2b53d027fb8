"""The log of withdrawals: on disk outside the database before one is acknowledged, so that no restored backup undoes it.

Ends of API keys stand in it too, for the same reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Engine, event

from consent_api.custody.chained import chained
from consent_api.custody.outside import custody_of

Kind = Literal["withdrawn", "shortened", "erased", "key_ended"]
_PENDING = "consent_withdrawals"
_SAVEPOINTS = "consent_withdrawals_savepoints"
SEALED = ("sequence", "at", "kind", "client", "company", "data_type", "purpose", "number", "record_id", "previous_hash")


@dataclass(frozen=True)
class Withdrawal:
    """What a client ended, or the bank of a key, and when.

    Attributes:
        kind: "withdrawn", "shortened" (renewed to end sooner), "erased" (all data of the client) or "key_ended"; of the last two
            the other fields are empty.
        client_code: whose consent it was; the log holds the pseudonym.
        number: the record's number among those of this client, company, data type and purpose.
        record_id: of the consent, or the id of the key.
    """

    kind: Kind
    client_code: str
    at: datetime
    company: str = ""
    data_type: str = ""
    purpose: str = ""
    number: int = 0
    record_id: str = ""


class NotLogged(Exception):
    """The log of withdrawals cannot be written, so nothing was withdrawn: make room, or mount its volume, and send it again."""


def note(connection: Connection, withdrawals: Sequence[Withdrawal]) -> None:
    """Have them written to the log when the caller's transaction commits, just before the database does."""
    lines = [_line(connection, each) for each in withdrawals]
    connection.info.setdefault(_PENDING, []).extend(lines)


def log_at_commit(engine: Engine) -> None:
    """Make every transaction of `engine` write what it has noted before it commits; if it cannot, nothing is committed.

    A commit that fails afterwards leaves withdrawals in the log which the database does not have: they are carried out at the
    next start, which is what the client asked for.
    """
    event.listen(engine, "begin", _forget)
    event.listen(engine, "rollback", _forget)
    event.listen(engine, "savepoint", _mark)
    event.listen(engine, "release_savepoint", _release)
    event.listen(engine, "rollback_savepoint", _return)
    event.listen(engine, "commit", _write)


def _line(connection: Connection, withdrawal: Withdrawal) -> dict[str, Any]:
    fields = vars(withdrawal)
    client = custody_of(connection).pseudonym(withdrawal.client_code)
    return {name: fields[name] for name in fields if name != "client_code"} | {"client": client, "at": withdrawal.at.isoformat()}


def _write(connection: Connection) -> None:
    pending = connection.info.pop(_PENDING, [])
    if pending:
        log = custody_of(connection).withdrawals
        try:
            log.append(lambda newest: chained(newest, pending, SEALED))
        except OSError as error:
            raise NotLogged(f"{log.path} cannot be written ({error.strerror}): make room or mount its volume") from error


def _forget(connection: Connection) -> None:
    if connection.invalidated:  # what was noted has gone with the lost connection
        return
    connection.info.pop(_PENDING, None)
    connection.info.pop(_SAVEPOINTS, None)


def _mark(connection: Connection, _name: str) -> None:
    connection.info.setdefault(_SAVEPOINTS, []).append(len(connection.info.get(_PENDING, [])))


def _release(connection: Connection, _name: str, _context: None) -> None:
    connection.info[_SAVEPOINTS].pop()


def _return(connection: Connection, _name: str, _context: None) -> None:
    """What was noted since the savepoint did not happen."""
    del connection.info.get(_PENDING, [])[connection.info[_SAVEPOINTS].pop() :]
