"""Deleting a version from the registry, unless something depends on it: `make delete-version MODEL=income VERSION=3`."""

import argparse
import sys

from mlflow.exceptions import MlflowException

from registry import models
from registry.aliases import NoSuchVersion, manifest_sha256, settle, versions_in_force
from registry.ledger import open_ledger
from registry.ledger_table import Entry
from settings import Settings


class StillNeeded(Exception):
    """The version carries an alias or is what a rollback would return to; it was not deleted."""


def delete_version(name: str, version: str, config: Settings | None = None) -> None:
    """Delete a version, with a row in the ledger.

    Refused are a version that carries an alias, which MLflow would drop silently, and the champion before the present one: a
    bank that cannot go back has no way out of a bad promotion. Older champions may go.

    Raises:
        StillNeeded: the message says what needs it.
        NoSuchVersion: the registry does not have it.
    """
    champion = settle(name, config)
    ledger, api = open_ledger(config), models.client(config)
    with ledger.writing() as connection:  # no promotion can come between the look and the deletion
        sha256 = manifest_sha256(name, version, config)
        aliases = sorted(api.get_model_version(name, version).aliases)
        if aliases:
            way = f"make rollback MODEL={name} goes back to the one before" if version == champion else "move the alias first"
            raise StillNeeded(f"version {version} of {name} is its {' and '.join(aliases)}: {way}")
        stack = versions_in_force(ledger, connection, name)
        if version in stack[-2:]:
            raise StillNeeded(f"version {version} of {name} is what a rollback from champion {champion} returns to")
        ledger.append(connection, Entry(name, models.CHAMPION, "delete", champion, version, "asked for", sha256))
        api.delete_model_version(name, version)
    settle(name, config)


def main() -> int:
    """Delete a version; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m registry.deletion", description="Delete a version that nothing needs.")
    parser.add_argument("--model", required=True, help="registered model, e.g. income")
    parser.add_argument("--version", required=True, help="its version")
    arguments = parser.parse_args()
    try:
        delete_version(arguments.model, arguments.version)
    except (StillNeeded, NoSuchVersion, MlflowException) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"version {arguments.version} of {arguments.model} is deleted")
    return 0


if __name__ == "__main__":
    sys.exit(main())
