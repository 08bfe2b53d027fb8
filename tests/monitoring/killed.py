"""A process that writes to the journal and says which rows were acknowledged, until it is killed."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from database import open_database
from identifiers import new_ids
from monitoring import journal as journal_module
from monitoring.batches import JournalBatch, layout_of
from monitoring.journal import Journal, JournalRow

ROOT = Path(__file__).parents[2]
_LAYOUT = layout_of(("amount", "hour"))


def acknowledged(way: str, url: str, lines: int, gather_seconds: float = 0.25) -> list[str]:
    """Ids of the rows that a process writing to the database at `url` was told to be durable, before and while it was killed.

    Args:
        way: one of `WAYS`.
        lines: so many acknowledgements are waited for.
        gather_seconds: how long rows lie in the spool before they are moved.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "tests.monitoring.killed", way, url, str(gather_seconds)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as writer:
        assert writer.stdout
        told = [writer.stdout.readline() for _ in range(lines)]
        writer.send_signal(signal.SIGKILL)
        told += writer.stdout.readlines()
    return [line.strip() for line in told if len(line) == 33]  # the last one may have been cut short


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


if __name__ == "__main__":
    journal_module._GATHER_SECONDS = float(sys.argv[3])
    WAYS[sys.argv[1]](Journal(open_database(sys.argv[2])))
