"""API keys of the consent service: issuing, revoking and recognising them.

`python -m consent_api.auth issue --role client --subject 17` prints a key once; `revoke KEY_ID` ends it at once, everywhere.
"""

import argparse
import hmac
import os
import re
import secrets
import sys
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal, get_args

from sqlalchemy import insert, select, update

from clock import now
from consent_api import audit
from consent_api.audit import Actor, Entry
from consent_api.catalogue import NotInCatalogue, load_catalogue
from consent_api.store import Store, open_store
from consent_api.tables import KEYS
from edge.keys import ConfigurationError
from settings import Settings, settings

Role = Literal["client", "partner", "staff"]
_SHAPE = re.compile(r"opora-([0-9a-f]{16})-([A-Za-z0-9_-]{43})", re.ASCII)
_SECRET_BYTES = 32
_SHORTEST_PEPPER = 32
_OPERATOR = Actor("operator", "operator")


@dataclass(frozen=True)
class Principal:
    """Whose key a request carries: a client (by code), a partner (by company) or a member of staff (by name)."""

    key_id: str
    role: Role
    subject: str


class Keyring:
    """The API keys in a store, known by their HMAC-SHA-256 under `pepper` only."""

    def __init__(self, store: Store, pepper: bytes) -> None:
        self._store = store
        self._pepper = pepper

    def issue(self, role: Role, subject: str, at: datetime) -> str:
        """A new key with 256 random bits; it cannot be shown again."""
        key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(_SECRET_BYTES)
        row = {"key_id": key_id, "role": role, "subject": subject, "digest": self._digest(secret), "issued_at": at}
        with self._store.writing() as connection:
            connection.execute(insert(KEYS).values(row))
            audit.append(connection, _OPERATOR, at, [Entry("key.issued", key_id, {"role": role, "subject": subject})])
        return f"opora-{key_id}-{secret}"

    def revoke(self, key_id: str, at: datetime) -> bool:
        """End a key; False when there is no such key in force."""
        in_force = (KEYS.c.key_id == key_id, KEYS.c.revoked_at.is_(None))
        with self._store.writing() as connection:
            ended = connection.execute(update(KEYS).where(*in_force).values(revoked_at=at)).rowcount
            if ended:
                audit.append(connection, _OPERATOR, at, [Entry("key.revoked", key_id)])
        return bool(ended)

    def recognise(self, key: str | None) -> Principal | None:
        """Whose key this is; None for one that was never issued or is revoked. A wrong secret takes as long as a right one."""
        parts = _SHAPE.fullmatch(key or "")
        if parts is None:
            return None
        with self._store.reading() as connection:
            row = connection.execute(select(KEYS).where(KEYS.c.key_id == parts[1])).one_or_none()
        matches = hmac.compare_digest(self._digest(parts[2]), row.digest if row else "0" * 64)
        if row is None or not matches or row.revoked_at is not None:
            return None
        return Principal(row.key_id, row.role, row.subject)

    def _digest(self, secret: str) -> str:
        return hmac.new(self._pepper, secret.encode(), sha256).hexdigest()


def pepper(config: Settings) -> bytes:
    """The configured pepper, or the one generated once in `var/secrets`, readable by its owner only.

    Raises:
        ConfigurationError: the configured one is too short to keep a secret.
    """
    if config.key_pepper is None:
        return _generated(config.var / "secrets" / "key_pepper")
    value = config.key_pepper.get_secret_value()
    if len(value) < _SHORTEST_PEPPER:
        raise ConfigurationError(f"OPORA_KEY_PEPPER needs at least {_SHORTEST_PEPPER} characters: openssl rand -hex 32")
    return value.encode()


def _generated(path: Path) -> bytes:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(_SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # whole or not at all, and the first of several processes wins
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_bytes()


def main() -> int:
    """Issue or revoke a key; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m consent_api.auth", description="API keys of the consent service.")
    commands = parser.add_subparsers(dest="command", required=True)
    issue = commands.add_parser("issue", help="print a new key, once")
    issue.add_argument("--role", required=True, choices=get_args(Role))
    issue.add_argument("--subject", required=True, help="client code, company, or name of the member of staff")
    revoke = commands.add_parser("revoke", help="end a key at once")
    revoke.add_argument("key_id", help="the 16 characters after opora- in the key")
    arguments = parser.parse_args()
    config = settings()
    keyring = Keyring(open_store(config.database("consent")), pepper(config))
    if arguments.command == "revoke":
        return _revoke(keyring, arguments.key_id)
    return _issue(keyring, arguments.role, arguments.subject, config)


def _issue(keyring: Keyring, role: Role, subject: str, config: Settings) -> int:
    try:
        if role == "partner":
            load_catalogue(config.catalogues).require_company(subject)
    except NotInCatalogue as error:
        print(error, file=sys.stderr)
        return 1
    print(keyring.issue(role, subject, now()))
    return 0


def _revoke(keyring: Keyring, key_id: str) -> int:
    if keyring.revoke(key_id, now()):
        print(f"{key_id} is revoked")
        return 0
    print(f"no key {key_id} is in force", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
