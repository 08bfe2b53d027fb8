"""Back to the version that was in force before: `make rollback MODEL=income`."""

import argparse
import sys
from dataclasses import dataclass

from mlflow.exceptions import MlflowException

from registry.aliases import ChampionChanged, NoSuchVersion, manifest_sha256, move_champion, settle, versions_in_force
from registry.candidate import Unservable, load_candidate
from registry.ledger import open_ledger
from settings import Settings


class NoRollback(Exception):
    """There is nothing to go back to, or it cannot serve; the message says what can be done."""


@dataclass(frozen=True)
class RolledBack:
    """The version that was champion and the one that is now."""

    version: str
    previous: str | None


def rollback(name: str, to: str | None = None, reason: str = "", config: Settings | None = None) -> RolledBack:
    """Make an earlier champion of `name` champion again; running services follow by themselves.

    Args:
        name: registered model.
        to: a version that was champion once; None = the one before the present champion, and the next time the one before that.
        reason: why, for the ledger.

    Raises:
        NoRollback: no earlier champion, never champion, deleted, or damaged.
        ChampionChanged: another version became champion at the same moment.
    """
    current = settle(name, config)
    target = to or _before(name, current, config)
    if target == current:
        raise NoRollback(f"version {target} of {name} is champion already")
    if target not in _ever_in_force(name, config):
        raise NoRollback(f"version {target} of {name} was never champion, and only the gate makes it one (the train flow)")
    try:
        manifest_sha256(name, target, config)
        load_candidate(name, target, config)
    except (NoSuchVersion, Unservable) as error:
        raise NoRollback(
            f"version {target} of {name} cannot serve: {error}; champion is still version {current}. "
            f"python -m registry.ledger show {name} lists earlier champions: name one with --to"
        ) from error
    words = reason or "asked for"
    move_champion(name, target, current, "rollback", f"rolled back from version {current or 'none'}: {words}", {}, config)
    return RolledBack(target, current)


def _before(name: str, current: str | None, config: Settings | None) -> str:
    ledger = open_ledger(config)
    with ledger.reading() as connection:
        stack = versions_in_force(ledger, connection, name)
    earlier = stack if current is None else stack[:-1]
    if not earlier:
        raise NoRollback(f"{name} has no earlier champion: python -m registry.ledger show {name} prints its history")
    return earlier[-1]


def _ever_in_force(name: str, config: Settings | None) -> set[str | None]:
    ledger = open_ledger(config)
    with ledger.reading() as connection:
        return {row.version for row in ledger.history(connection, name) if row.action in ("promote", "adopt", "rollback")}


def main() -> int:
    """Roll a model back; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m registry.rollback", description="Back to the champion before.")
    parser.add_argument("--model", required=True, help="registered model, e.g. income")
    parser.add_argument("--to", help="version to go back to; without it, the one before")
    parser.add_argument("--reason", default="", help="why, for the ledger")
    arguments = parser.parse_args()
    try:
        done = rollback(arguments.model, arguments.to or None, arguments.reason)
    except (NoRollback, ChampionChanged, MlflowException) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"champion of {arguments.model} is now version {done.version} (was {done.previous or 'none'}); running services follow")
    return 0


if __name__ == "__main__":
    sys.exit(main())
