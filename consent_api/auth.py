"""Keys and tokens of the consent service, by hand: `python -m consent_api.auth --help`.

`issue --role partner --subject dala-market` prints a key once; `rotate KEY_ID` prints its successor; `revoke KEY_ID` and
`revoke-token` end one at once, everywhere.
"""

import argparse
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import get_args

from clock import now
from consent_api import audit
from consent_api.audit import Entry
from consent_api.callers import token_uses
from consent_api.callers.credentials import OPERATOR, Keyring
from consent_api.callers.roles import Role
from consent_api.catalogue import NotInCatalogue, load_catalogue
from consent_api.custody.withdrawals import NotLogged
from consent_api.store import Store, open_store
from edge.pepper import pepper
from settings import Settings, settings

_LONGEST_DAYS = 3650


def main() -> int:
    """Do what the command line says; returns the exit status."""
    chosen = _parser().parse_args()
    config = settings()
    store = open_store(config)
    command: Callable[[argparse.Namespace, Settings, Store, Keyring], int] = chosen.run
    try:
        return command(chosen, config, store, Keyring(store, pepper(config)))
    except NotLogged as error:
        return _failed(f"nothing has changed: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m consent_api.auth", description="Keys and tokens of the consent service.")
    commands = parser.add_subparsers(dest="command", required=True)
    issue = commands.add_parser("issue", help="print a new key, once")
    issue.add_argument("--role", required=True, choices=get_args(Role))
    issue.add_argument("--subject", required=True, help="client code, company, or name of the member of staff or auditor")
    rotate = commands.add_parser("rotate", help="print a key beside an old one, which ends soon")
    rotate.add_argument("key_id", help="the 16 characters after opora- in the old key")
    rotate.add_argument("--overlap-hours", type=_hours, default=timedelta(hours=24), help="how long the old key works on (24)")
    for command in (issue, rotate):
        command.add_argument("--days", type=_days, default=timedelta(days=365), help="after which the new key ends (365)")
    commands.add_parser("list", help="ids, callers and dates of all keys").set_defaults(run=_list)
    revoke = commands.add_parser("revoke", help="end a key at once")
    revoke.add_argument("key_id", help="the 16 characters after opora- in the key")
    token = commands.add_parser("revoke-token", help="end a client's token before its time")
    token.add_argument("--issuer", required=True, help="its claim iss")
    token.add_argument("--id", required=True, help="its claim jti")
    issue.set_defaults(run=_issue)
    rotate.set_defaults(run=_rotate)
    revoke.set_defaults(run=_revoke)
    token.set_defaults(run=_revoke_token)
    return parser


def _issue(chosen: argparse.Namespace, config: Settings, _store: Store, keyring: Keyring) -> int:
    try:
        if chosen.role == "partner":
            load_catalogue(config.catalogues).require_company(chosen.subject)
    except NotInCatalogue as error:
        return _failed(str(error))
    at = now()
    print(keyring.issue(chosen.role, chosen.subject, at, at + chosen.days))
    return 0


def _rotate(chosen: argparse.Namespace, _config: Settings, _store: Store, keyring: Keyring) -> int:
    at = now()
    key = keyring.rotate(chosen.key_id, at, at + chosen.overlap_hours, at + chosen.days)
    if key is None:
        return _failed(f"no key {chosen.key_id} is in force")
    print(key)
    return 0


def _list(_chosen: argparse.Namespace, _config: Settings, _store: Store, keyring: Keyring) -> int:
    for key in keyring.listed():
        ends = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else f"until {key.expires_at or 'revoked'}"
        print(f"{key.key_id}  {key.role:8} {key.subject}  since {key.issued_at:%Y-%m-%d %H:%M}  {ends}")
    return 0


def _revoke(chosen: argparse.Namespace, _config: Settings, _store: Store, keyring: Keyring) -> int:
    if not keyring.revoke(chosen.key_id, now()):
        return _failed(f"no key {chosen.key_id} is in force")
    print(f"{chosen.key_id} is revoked")
    return 0


def _revoke_token(chosen: argparse.Namespace, _config: Settings, store: Store, _keyring: Keyring) -> int:
    at = now()
    with store.writing() as connection:
        token = token_uses.revoke(connection, chosen.issuer, chosen.id, at)
        audit.append(connection, OPERATOR, at, [Entry("token.revoked", token)])
    print("the token is revoked")
    return 0


def _failed(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


def _days(text: str) -> timedelta:
    days = int(text)
    if not 0 < days <= _LONGEST_DAYS:
        raise argparse.ArgumentTypeError(f"from 1 to {_LONGEST_DAYS} days")
    return timedelta(days=days)


def _hours(text: str) -> timedelta:
    hours = float(text)
    if not 0 <= hours <= 24 * 90:
        raise argparse.ArgumentTypeError("from 0 hours to 90 days")
    return timedelta(hours=hours)


if __name__ == "__main__":
    sys.exit(main())
