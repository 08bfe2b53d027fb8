"""A process that writes to the journal and says which rows were acknowledged, until it is killed."""

import asyncio
import sys
import threading
from collections.abc import Callable, Iterable

import numpy as np

from database import open_database
from features.layouts import layout_of
from identifiers import new_ids
from monitoring import journal as journal_module
from monitoring.batches import JournalBatch
from monitoring.journal import Journal, JournalRow
from tests.fork_server import ForkServer

_LAYOUT = layout_of(("amount", "hour"))


def acknowledged(server: ForkServer, way: str, url: str, lines: int, gather_seconds: float = 0.25) -> list[str]:
    """Ids of the rows that a process writing to the database at `url` was told to be durable, before and while it was killed.

    Args:
        server: has imported this module.
        way: one of `WAYS`.
        lines: so many acknowledgements are waited for.
        gather_seconds: how long rows lie in the spool before they are moved.
    """
    writer = server.python(
        "import sys; from tests.monitoring import killed; killed.write(*sys.argv[1:])", way, url, str(gather_seconds)
    )
    told = [writer.stdout.readline() for _ in range(lines)]
    writer.kill()
    told += writer.communicate()[0].splitlines(keepends=True)
    return [line.strip() for line in told if len(line) == 33]  # the last one may have been cut short


def write(way: str, url: str, gather_seconds: str) -> None:
    """Write until killed."""
    journal_module._GATHER_SECONDS = float(gather_seconds)
    WAYS[way](Journal(open_database(url)))


def _tell(ids: Iterable[str]) -> None:
    sys.stdout.write("".join(f"{one}\n" for one in ids))
    sys.stdout.flush()


def _row() -> JournalRow:
    return JournalRow("fraud", "api", {"amount": 1.0}, {"fraud": 0.5}, "1", 1.0)


def _batch(rows: int) -> JournalBatch:
    ids, features = new_ids(rows), np.ones((rows, 2))
    return JournalBatch("fraud", "api", _LAYOUT, features, "fraud", [0.5] * rows, ["low"] * rows, [None] * rows, ids, "1", 1.0)


def _threads(journal: Journal) -> None:
    def go() -> None:
        while True:
            row = _row()
            journal.write([row])
            _tell([row.score_id])

    for _ in range(4):
        threading.Thread(target=go).start()


def _awaiting(journal: Journal) -> None:
    async def go() -> None:
        while True:
            row = _row()
            await journal.write_async([row])
            _tell([row.score_id])

    async def together() -> None:
        await asyncio.gather(*(go() for _ in range(4)))

    asyncio.run(together())


def _batches(journal: Journal) -> None:
    async def go() -> None:
        while True:
            batch = _batch(5)
            await journal.write_async(batch)
            _tell(batch.score_ids)

    asyncio.run(go())


WAYS: dict[str, Callable[[Journal], None]] = {"threads": _threads, "awaiting": _awaiting, "batches": _batches}
