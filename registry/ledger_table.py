"""The ledger's table: append-only by trigger, every row sealed with a hash over itself and the row before."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import orjson
from sqlalchemy import BigInteger, Column, Index, MetaData, Row, Table, Text

import chain
from database import UtcTime, append_only

Action = Literal["nominate", "dismiss", "promote", "refuse", "rollback", "adopt", "delete"]
MOVES: tuple[Action, ...] = ("nominate", "dismiss", "promote", "rollback", "adopt")
"""Actions after which the row's alias lies on the row's version, or nowhere where that is None; the others move nothing."""

SCHEMA = MetaData()
LEDGER = Table(
    "registry_ledger",
    SCHEMA,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("model", Text, nullable=False),
    Column("alias", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("previous_version", Text),
    Column("version", Text),
    Column("reason", Text, nullable=False),
    Column("manifest_sha256", Text),
    Column("figures", Text, nullable=False),
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index("registry_ledger_model", "model", "alias", "sequence"),
)
_SEALED = tuple(column.name for column in LEDGER.c if column.name != "hash")


append_only(LEDGER)


@dataclass(frozen=True)
class Entry:
    """What is to be recorded.

    Attributes:
        model: registered model, e.g. "income".
        alias: the alias that was moved, or that the version was refused.
        action: one of `Action`.
        previous_version: what carried the alias before; None = nothing.
        version: the version it is about; None only where an alias was taken off or found removed.
        reason: a sentence.
        manifest_sha256: hash of the version's manifest, which covers all its files.
        figures: numbers the decision was made on.
    """

    model: str
    alias: str
    action: Action
    previous_version: str | None
    version: str | None
    reason: str
    manifest_sha256: str | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LedgerRow(Entry):
    """An entry as it was written: numbered from 1 over all models, dated and sealed."""

    sequence: int = 0
    at: datetime = datetime.min  # noqa: DTZ901 - always given
    previous_hash: str = chain.START
    hash: str = ""


def sealed(entry: Entry, sequence: int, at: datetime, previous_hash: str) -> dict[str, Any]:
    """The columns of the row that records `entry` at `sequence`, with its seal."""
    values = {name: getattr(entry, name) for name in Entry.__dataclass_fields__}
    values["figures"] = orjson.dumps(entry.figures, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY).decode()
    values |= {"sequence": sequence, "at": at, "previous_hash": previous_hash}
    return {**values, "hash": seal(values)}


def seal(values: Mapping[str, Any]) -> str:
    """SHA-256 over every column but the hash itself, in the table's order."""
    return chain.seal([values[name] for name in _SEALED])


def ledger_row(row: Row[Any]) -> LedgerRow:
    """A row as it lies in the table."""
    values = dict(row._mapping)
    return LedgerRow(**{**values, "figures": orjson.loads(values["figures"])})
