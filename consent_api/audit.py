"""The audit log: append-only rows, each sealed with a hash over itself and the row before.

`python -m consent_api.audit verify` names the first row that is not as it was written; `export` prints all rows.
No row holds a client's code: what is about a client has the pseudonym that `Custody` gives it, and outlives the client's data.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, Row, event, insert, select

from chain import Head, Note, Verification, check, seal
from consent_api.custody.outside import custody_of
from consent_api.prepared import Prepared
from consent_api.tables import AUDIT
from settings import settings

SEALED = tuple(column.name for column in AUDIT.c if column.name != "hash")
_COLUMNS = (*(AUDIT.c[name] for name in SEALED), AUDIT.c.hash)
_APPEND = insert(AUDIT)
_APPEND_ONE = Prepared(_APPEND)
_NEWEST = Prepared(select(AUDIT.c.sequence, AUDIT.c.hash).order_by(AUDIT.c.sequence.desc()).limit(1))
_HEAD = "consent_audit_head"
_PAGE = 5_000


@dataclass(frozen=True)
class Actor:
    """Who acts: the id of a credential with its role, or a flow; `request_id` ties the rows of one request together."""

    name: str
    role: str
    request_id: str = ""


@dataclass(frozen=True)
class Entry:
    """What happened to what: to a thing that `object` names, or to a client, whose code is replaced before it is written.

    `detail` holds figures and reasons, never a client's code.
    """

    action: str
    object: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    client: str | None = None


def append(connection: Connection, actor: Actor, at: datetime, entries: Sequence[Entry]) -> None:
    """Write one row per entry, in the caller's transaction, which has to be one of `Store.writing`."""
    before = head(connection)
    sequence, previous = before.sequence, before.hash
    rows = []
    for entry in entries:
        sequence += 1
        row = {
            "sequence": sequence,
            "at": at.astimezone(UTC),
            "request_id": actor.request_id,
            "actor": actor.name,
            "role": actor.role,
            "action": entry.action,
            "object": entry.object if entry.client is None else about_client(connection, entry.client),
            "detail": orjson.dumps(dict(entry.detail)).decode(),
            "previous_hash": previous,
        }
        previous = row["hash"] = seal([row[name] for name in SEALED])
        rows.append(row)
    if len(rows) == 1:
        _APPEND_ONE.run(connection, rows[0])
    elif rows:
        connection.execute(_APPEND, rows)
    if rows:
        connection.info[_HEAD] = Head(sequence, previous)


def head(connection: Connection) -> Head:
    """The newest row, as receipts and anchors state it; in a writing transaction it includes what that has appended."""
    appended: Head | None = connection.info.get(_HEAD)
    if appended is not None:
        return appended
    return next((Head(*row) for row in _NEWEST.rows(connection, {})), Head())


def remember_heads(engine: Engine) -> None:
    """Have each transaction of `engine` look for the head once: until it ends or takes something back, nobody else can append."""
    for over in ("begin", "rollback", "rollback_savepoint"):
        event.listen(engine, over, _forget_head)


def _forget_head(connection: Connection, *_: object) -> None:
    if not connection.invalidated:  # else it has gone with the lost connection
        connection.info.pop(_HEAD, None)


def about_client(connection: Connection, client_code: str) -> str:
    """The `object` of rows about a client."""
    return f"client/{custody_of(connection).pseudonym(client_code)}"


def verify(connection: Connection, anchors: Iterable[Mapping[str, Any]] = ()) -> Verification:
    """Read the whole chain and name the first row that was edited, removed, swapped or put in.

    Args:
        connection: of a transaction that has begun after `anchors` were read.
        anchors: lines of `Custody.anchors`; with them it also shows that rows were cut off, or all written anew.
    """
    noted = {line["sequence"]: Note(line["hash"], f"outside the database at {line['at']}") for line in anchors}
    rows = select(*_COLUMNS).order_by(AUDIT.c.sequence).execution_options(yield_per=_PAGE)
    return check(connection.execute(rows), lambda row: seal(list(row[:-1])), _about, noted)


def _about(row: Row[Any]) -> str:
    return f"{row.action} of request {row.request_id}" if row.request_id else str(row.action)


def main() -> int:
    """Verify the log or print it; returns the exit status."""
    from consent_api import audit_log  # these stand above this module, which all of them import
    from consent_api.custody.anchors import verified
    from consent_api.store import open_store

    parser = argparse.ArgumentParser(prog="python -m consent_api.audit", description="The audit log of the consent service.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("verify", help="check that no row was edited, removed, swapped or put in, and none cut off")
    export = commands.add_parser("export", help="print every row")
    export.add_argument("--format", choices=("ndjson", "csv"), default="ndjson")
    arguments = parser.parse_args()
    store = open_store(settings())
    if arguments.command == "export":
        with store.reading() as connection:
            upto = head(connection).sequence
        for piece in audit_log.export(store, audit_log.Filter(), arguments.format, upto):
            sys.stdout.buffer.write(piece)
        return 0
    found = verified(store)
    if found.first_bad is not None:
        print(f"audit: row {found.first_bad} {found.problem}", file=sys.stderr)
        return 1
    print(f"audit: {found.rows} rows, each as it was written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
