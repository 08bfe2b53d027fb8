"""The ledger: which version carried which alias when, and why; append-only and hash-chained.

`python -m registry.ledger verify` names the first row that is not as it was written, `show MODEL` prints a model's history.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, insert, select, text

from chain import START, Note, Verification, check
from clock import now
from database import Turn, open_database, take_turn
from registry import models
from registry.anchors import Anchor, anchors, champions
from registry.ledger_table import LEDGER, MOVES, SCHEMA, Entry, LedgerRow, ledger_row, seal, sealed
from settings import Settings, settings

_PATIENCE = "30s"


class Ledger:
    """The rows of all models in one chain, in a database opened with `database.open_database`; the table is made when absent.

    Writers queue up behind one lock (SQLite's own, an advisory lock on PostgreSQL), so what a writing transaction has read of
    the ledger is still true when it commits: that makes compare-and-set of an alias possible, which MLflow does not offer.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        with self.writing() as connection:
            SCHEMA.create_all(connection)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A serialised transaction, durable when the block has ended; an exception inside leaves nothing behind."""
        with self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE}'"))
            take_turn(connection, Turn.WRITE_LEDGER)
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that waits for no writer."""
        with self._engine.connect().execution_options(read_only=True) as connection, connection.begin():
            yield connection

    def append(self, connection: Connection, entry: Entry) -> LedgerRow:
        """Write one row, in a transaction of `writing`."""
        head = self.head(connection)
        sequence, previous = (head.sequence, head.hash) if head else (0, START)
        connection.execute(insert(LEDGER), sealed(entry, sequence + 1, now(), previous))
        written = self.head(connection)
        assert written is not None
        return written

    def head(self, connection: Connection) -> LedgerRow | None:
        """The newest row of all."""
        return _one(connection, select(LEDGER))

    def last_move(
        self, connection: Connection, model: str, alias: str = models.CHAMPION, time: datetime | None = None
    ) -> LedgerRow | None:
        """The row that put `alias` where it is, or was at `time`; None when it was never moved."""
        query = select(LEDGER).where(LEDGER.c.model == model, LEDGER.c.alias == alias, LEDGER.c.action.in_(MOVES))
        return _one(connection, query if time is None else query.where(LEDGER.c.at <= time))

    def history(self, connection: Connection, model: str) -> list[LedgerRow]:
        """Every row of a model, oldest first."""
        query = select(LEDGER).where(LEDGER.c.model == model).order_by(LEDGER.c.sequence)
        return [ledger_row(row) for row in connection.execute(query)]

    def verify(self, known: Iterable[Anchor] = ()) -> Verification:
        """Read the whole chain and name the first row that was edited, removed, swapped or put in.

        The chain alone cannot show that its newest rows were cut off, or that all of it was written anew from some row on:
        `known` are rows noted elsewhere (see `registry.anchors`), with which even that shows, up to the newest of them.
        """
        noted = {anchor.sequence: Note(anchor.hash, f"with model {anchor.model} in MLflow") for anchor in known}
        with self.reading() as connection:
            rows = connection.execution_options(yield_per=2000).execute(select(LEDGER).order_by(LEDGER.c.sequence))
            return check(rows, lambda row: seal(dict(row._mapping)), _about, noted)


def _one(connection: Connection, query: Select[Any]) -> LedgerRow | None:
    row = connection.execute(query.order_by(LEDGER.c.sequence.desc()).limit(1)).one_or_none()
    return None if row is None else ledger_row(row)


def _about(row: Row[Any]) -> str:
    return f"{row.action} {row.model} version {row.version}"


@cache
def _opened(url: str) -> Ledger:
    return Ledger(open_database(url))


def open_ledger(config: Settings | None = None) -> Ledger:
    """The ledger of the configured database, opened once per process."""
    return _opened((config or settings()).database("registry"))


def alias_at(name: str, time: datetime, alias: str = models.CHAMPION, config: Settings | None = None) -> str | None:
    """The version of model `name` that carried `alias` at `time`, None when none did: what the ledger says, MLflow is not asked.

    Raises:
        ValueError: `time` has no time zone.
    """
    if time.tzinfo is None:
        raise ValueError(f"{time} has no time zone: give it one, e.g. {time}+00:00")
    ledger = open_ledger(config)
    with ledger.reading() as connection:
        row = ledger.last_move(connection, name, alias, time)
    return None if row is None else row.version


def main() -> int:
    """Verify the ledger or show a model's history; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m registry.ledger", description="Which version was in force when, and why.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("verify", help="check that no row was edited, removed or put in")
    show = commands.add_parser("show", help="print the history of a model")
    show.add_argument("model", help="registered model, e.g. income")
    arguments = parser.parse_args()
    return _verify() if arguments.command == "verify" else _show(arguments.model)


def _verify() -> int:
    ledger = open_ledger()
    checked = ledger.verify(anchors())
    if checked.first_bad is not None:
        print(f"ledger: row {checked.first_bad} {checked.problem}", file=sys.stderr)
        return 1
    print(f"ledger: {checked.rows} rows, each as it was written")
    strays = list(_strays(ledger))
    print(*strays, sep="\n", end="\n" if strays else "", file=sys.stderr)
    return 1 if strays else 0


def _strays(ledger: Ledger) -> Iterator[str]:
    """A sentence for every model whose alias in MLflow is not where the ledger put it."""
    with ledger.reading() as connection:
        for name, carried in champions():
            last = ledger.last_move(connection, name)
            if carried != (last.version if last else None):
                recorded = (last.version if last else None) or "nothing"
                yield (
                    f"{name}: the ledger says that version {recorded} is {models.CHAMPION}, MLflow says {carried or 'nothing'}: "
                    f"the next gate or rollback settles that, or python -m registry.aliases {name}"
                )


def _show(model: str) -> int:
    ledger = open_ledger()
    with ledger.reading() as connection:
        rows = ledger.history(connection, model)
    if not rows:
        print(f"the ledger has no row about {model}: train it first", file=sys.stderr)
        return 1
    for row in rows:
        moved = f"{row.previous_version or '-'} -> {row.version or '-'}" if row.action in MOVES else f"{row.version}"
        print(f"{row.sequence:>5}  {row.at:%Y-%m-%d %H:%M:%S}  {row.action:<8}  {row.alias:<10}  {moved:<10}  {row.reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
