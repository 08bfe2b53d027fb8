"""API keys: issued, rotated, revoked and recognised. The database knows them by their HMAC only."""

import hmac
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, or_, select, update

from consent_api import audit
from consent_api.audit import Actor, Entry
from consent_api.callers.roles import Principal, Role
from consent_api.custody import withdrawals
from consent_api.custody.withdrawals import Withdrawal
from consent_api.store import Store
from consent_api.tables import KEYS

OPERATOR = Actor("operator", "operator")
"""Whoever has the command line of the service."""
_SHAPE = re.compile(r"opora-([0-9a-f]{16})-([A-Za-z0-9_-]{43})", re.ASCII)
_SECRET_BYTES = 32
_NOBODY = "0" * 64


@dataclass(frozen=True)
class Issued:
    """What is known of a key that was issued; times in UTC."""

    key_id: str
    role: Role
    subject: str
    issued_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class Keyring:
    """The API keys in a store, known by their HMAC-SHA-256 under `pepper`; to rotate one, a subject has two in force for a while.

    Args:
        store: where the hashes are kept.
        pepper: the secret without which nobody can try keys against a stolen hash.
        clients: whether keys of clients are accepted; beyond one machine clients come with a token.
    """

    def __init__(self, store: Store, pepper: bytes, clients: bool = True) -> None:
        self._store = store
        self._pepper = pepper
        self._clients = clients

    def issue(self, role: Role, subject: str, at: datetime, expires_at: datetime | None = None) -> str:
        """A new key with 256 random bits; it cannot be shown again."""
        with self._store.writing() as connection:
            return self._issue(connection, role, subject, at, expires_at)

    def rotate(self, key_id: str, at: datetime, old_until: datetime, expires_at: datetime | None) -> str | None:
        """Another key of the same subject, beside which the old one works on until `old_until`; None: it is not in force.

        Raises:
            NotLogged: the log of withdrawals cannot be written, and nothing has changed.
        """
        with self._store.writing() as connection:
            row = connection.execute(select(KEYS).where(KEYS.c.key_id == key_id, *_in_force(at))).one_or_none()
            if row is None:
                return None
            ends = old_until if row.expires_at is None else min(old_until, row.expires_at)
            end_at(connection, key_id, ends, OPERATOR, at)
            return self._issue(connection, row.role, row.subject, at, expires_at)

    def revoke(self, key_id: str, at: datetime) -> bool:
        """End a key; False when there is no such key in force.

        Raises:
            NotLogged: the log of withdrawals cannot be written, and the key is in force.
        """
        in_force = (KEYS.c.key_id == key_id, KEYS.c.revoked_at.is_(None))
        with self._store.writing() as connection:
            ended = connection.execute(update(KEYS).where(*in_force).values(revoked_at=at)).rowcount
            if ended:
                withdrawals.note(connection, [_ended(key_id, at)])
                audit.append(connection, OPERATOR, at, [Entry("key.revoked", key_id)])
        return bool(ended)

    def listed(self) -> Iterator[Issued]:
        """Every key that was ever issued, oldest first."""
        wanted = [KEYS.c[name] for name in Issued.__dataclass_fields__]
        with self._store.reading() as connection:
            for row in connection.execute(select(*wanted).order_by(KEYS.c.issued_at, KEYS.c.key_id)):
                yield Issued(*row)

    def recognise(self, key: str, at: datetime) -> Principal | None:
        """Whose key this is; None for one that was never issued or has ended. A wrong secret takes as long as a right one."""
        parts = _SHAPE.fullmatch(key)
        if parts is None:
            return None
        with self._store.reading() as connection:
            row = connection.execute(select(KEYS).where(KEYS.c.key_id == parts[1])).one_or_none()
        if not hmac.compare_digest(self._digest(parts[2]), row.digest if row else _NOBODY):
            return None
        return self._principal(row, at)

    def by_id(self, connection: Connection, key_id: str, at: datetime) -> Principal | None:
        """Whose key has this id: for tokens that were given for it."""
        return self._principal(connection.execute(select(KEYS).where(KEYS.c.key_id == key_id)).one_or_none(), at)

    def _principal(self, row: Any, at: datetime) -> Principal | None:
        if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= at):
            return None
        if row.role == "client" and not self._clients:
            return None
        return Principal(row.key_id, row.role, row.subject, row.expires_at)

    def _issue(self, connection: Connection, role: Role, subject: str, at: datetime, expires_at: datetime | None) -> str:
        key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(_SECRET_BYTES)
        row = {"key_id": key_id, "role": role, "subject": subject, "digest": self._digest(secret)}
        connection.execute(insert(KEYS).values(**row, issued_at=at, expires_at=expires_at))
        audit.append(connection, OPERATOR, at, [_issued(key_id, role, subject)])
        return f"opora-{key_id}-{secret}"

    def _digest(self, secret: str) -> str:
        return hmac.new(self._pepper, secret.encode(), sha256).hexdigest()


def end_at(connection: Connection, key_id: str, ends: datetime, actor: Actor, at: datetime) -> None:
    """Have a key end at the moment `ends`, also after a restored backup."""
    connection.execute(update(KEYS).where(KEYS.c.key_id == key_id).values(expires_at=ends))
    withdrawals.note(connection, [_ended(key_id, ends)])
    audit.append(connection, actor, at, [Entry("key.expires", key_id, {"expires_at": ends.isoformat()})])


def _ended(key_id: str, at: datetime) -> Withdrawal:
    return Withdrawal("key_ended", "", at, record_id=key_id)


def _in_force(at: datetime) -> tuple[ColumnElement[bool], ...]:
    return KEYS.c.revoked_at.is_(None), or_(KEYS.c.expires_at.is_(None), KEYS.c.expires_at > at)


def _issued(key_id: str, role: Role, subject: str) -> Entry:
    if role == "client":  # whose code has no place in the audit log
        return Entry("key.issued", client=subject, detail={"key_id": key_id, "role": role})
    return Entry("key.issued", key_id, {"role": role, "subject": subject})
