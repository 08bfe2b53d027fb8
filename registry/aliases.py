"""Moving aliases: the ledger decides by compare-and-set, MLflow's alias follows, and the two are brought together again."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from mlflow.exceptions import MlflowException
from sqlalchemy import Connection

from registry import models
from registry.anchors import anchor_of, note
from registry.ledger import Ledger, open_ledger
from registry.ledger_table import Action, Entry, LedgerRow
from settings import Settings


class ChampionChanged(Exception):
    """The champion is no longer the one a decision was made against; decide again against the new one."""


class NoSuchVersion(Exception):
    """The registry has no such version of the model; the message says how to see which there are."""


def settle(name: str, config: Settings | None = None) -> str | None:
    """Bring ledger and alias together where they disagree; returns the champion's version, None when there is none.

    Where a process died after the ledger's row and before the alias, the alias is moved now. Where the alias was moved by
    another hand (the MLflow UI, a release without ledger), services already follow it: the ledger records that as "adopt".
    """
    ledger = open_ledger(config)
    with ledger.writing() as connection:
        last = ledger.last_move(connection, name)
        actual, recorded = models.champion_version(name, config), last.version if last else None
        if actual != recorded and not _interrupted(last, actual, config):
            reason = (
                f"found: alias {models.CHAMPION} was moved outside of Opora from {recorded or 'nothing'} to {actual or 'nothing'}"
            )
            ledger.append(connection, _entry(name, "adopt", recorded, actual, reason, {}, config))
    return _publish(ledger, name, config)


def move_champion(
    name: str,
    version: str,
    expected: str | None,
    action: Action,
    reason: str,
    figures: Mapping[str, Any],
    config: Settings | None = None,
) -> None:
    """Make `version` champion if `expected` still is: of several moves from the same champion exactly one succeeds.

    The row in the ledger is the decision. MLflow's alias follows in a second step, which `settle` repeats if it was cut short.
    A champion is nobody's challenger any more.

    Raises:
        ChampionChanged: another version is champion meanwhile; nothing was moved.
        NoSuchVersion: `version` is not, or no longer, in the registry.
    """
    ledger = open_ledger(config)
    with ledger.writing() as connection:
        last = ledger.last_move(connection, name)
        for current in (last.version if last else None, models.champion_version(name, config)):
            if current != expected:
                raise ChampionChanged(
                    f"champion of {name} changed meanwhile from {expected or 'none'} to {current or 'none'}: "
                    f"version {version} was not compared with it"
                )
        ledger.append(connection, _entry(name, action, expected, version, reason, figures, config))
        _dismiss(ledger, connection, name, version, "it is champion", config)
    _publish(ledger, name, config)


def nominate(name: str, version: str, config: Settings | None = None) -> None:
    """Give `version` the alias `challenger` until it is judged; the last one nominated has it."""
    ledger = open_ledger(config)
    with ledger.writing() as connection:
        last = ledger.last_move(connection, name, models.CHALLENGER)
        reason = "registered, to be judged by the gate"
        entry = _entry(name, "nominate", last.version if last else None, version, reason, {}, config, models.CHALLENGER)
        models.client(config).set_registered_model_alias(name, models.CHALLENGER, version)
        ledger.append(connection, entry)
    settle(name, config)


def record_refusal(
    name: str, version: str, current: str | None, reason: str, figures: Mapping[str, Any], config: Settings | None = None
) -> None:
    """Record that `version` did not become champion instead of `current`; services stop scoring with it in shadow."""
    ledger = open_ledger(config)
    with ledger.writing() as connection:
        ledger.append(connection, _entry(name, "refuse", current, version, reason, figures, config))
        _dismiss(ledger, connection, name, version, "the gate refused it", config)
    settle(name, config)


def _dismiss(ledger: Ledger, connection: Connection, name: str, version: str, reason: str, config: Settings | None) -> None:
    """Take the alias `challenger` off `version` now that it was judged; a version nominated meanwhile keeps it.

    MLflow first, inside the transaction: a process that dies in between leaves no verdict, and the gate nominates anew.
    """
    if models.alias_version(name, models.CHALLENGER, config) != version:
        return
    models.client(config).delete_registered_model_alias(name, models.CHALLENGER)
    ledger.append(connection, _entry(name, "dismiss", version, None, reason, {}, config, models.CHALLENGER))


def versions_in_force(ledger: Ledger, connection: Connection, name: str) -> list[str]:
    """The champion, last, and before it those that a rollback returns to, step by step.

    A rollback takes what came after its target off the list, so that two rollbacks in a row go two versions back and not
    there and back again.
    """
    stack: list[str] = []
    for row in ledger.history(connection, name):
        if row.alias != models.CHAMPION or row.version is None or row.action not in ("promote", "adopt", "rollback"):
            continue
        if row.action == "rollback" and row.version in stack:
            del stack[stack.index(row.version) + 1 :]
        elif row.version not in stack[-1:]:
            stack.append(row.version)
    return stack


def manifest_sha256(name: str, version: str, config: Settings | None = None) -> str | None:
    """The hash of a version's manifest as recorded at registration, None for a version that was not logged by us.

    Raises:
        NoSuchVersion: the registry does not have it.
    """
    try:
        return models.client(config).get_model_version(name, version).tags.get(models.SHA256_TAG)
    except MlflowException as error:
        if error.error_code not in models.GONE:
            raise
        raise NoSuchVersion(
            f"{name} has no version {version}: python -m registry.ledger show {name} lists those that were in force"
        ) from error


def _publish(ledger: Ledger, name: str, config: Settings | None) -> str | None:
    """Let the alias say what the ledger says, and note with the model where the ledger ends; both under the writers' lock."""
    api = models.client(config)
    with ledger.writing() as connection:
        last, head = ledger.last_move(connection, name), ledger.head(connection)
        champion = last.version if last else None
        if models.champion_version(name, config) != champion:
            if champion is None:
                api.delete_registered_model_alias(name, models.CHAMPION)
            else:
                api.set_registered_model_alias(name, models.CHAMPION, champion)
        if head is not None:
            note(name, head, config)
    return champion


def _interrupted(last: LedgerRow | None, actual: str | None, config: Settings | None) -> bool:
    """Whether a move was recorded and then cut short: nothing was noted with the model since, and the alias is where it was."""
    if last is None or actual != last.previous_version:
        return False
    noted = anchor_of(last.model, config)
    if noted is not None and noted.sequence >= last.sequence:
        return False
    return last.version is None or _exists(last.model, last.version, config)


def _exists(name: str, version: str, config: Settings | None) -> bool:
    try:
        manifest_sha256(name, version, config)
    except NoSuchVersion:
        return False
    return True


def _entry(
    name: str,
    action: Action,
    previous: str | None,
    version: str | None,
    reason: str,
    figures: Mapping[str, Any],
    config: Settings | None,
    alias: str = models.CHAMPION,
) -> Entry:
    sha256 = None if version is None else manifest_sha256(name, version, config)
    return Entry(name, alias, action, previous, version, reason, sha256, figures)


def main() -> int:
    """Settle what a command line names; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m registry.aliases", description="Bring ledger and alias together.")
    parser.add_argument("model", help="registered model, e.g. income")
    name = parser.parse_args().model
    try:
        champion = settle(name)
    except MlflowException as error:
        print(error, file=sys.stderr)
        return 1
    print(f"champion of {name} is {f'version {champion}' if champion else 'none'}, by the ledger and in MLflow")
    return 0


if __name__ == "__main__":
    sys.exit(main())
