"""The rows of one caller that wait for the journal, and the news of them that the caller waits for."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

from features.layouts import Layout
from monitoring.batches import JournalBatch
from monitoring.rows import JournalRow, Record


class Entry:
    """The rows of one caller, and the news that they are durable or why they are not (None = they are)."""

    __slots__ = ("done", "layouts", "loop", "records")

    def __init__(
        self,
        rows: Sequence[JournalRow] | JournalBatch,
        done: Future[None] | asyncio.Future[None],
        loop: asyncio.AbstractEventLoop | None = None,  # of a caller that awaits
    ) -> None:
        self.records: list[Record]
        self.layouts: tuple[Layout, ...]
        if isinstance(rows, JournalBatch):
            self.records, self.layouts = rows.records(), (rows.layout,)
        else:
            self.records, self.layouts = [row.record() for row in rows], ()
        self.loop = loop
        self.done = done

    def tell(self, error: Exception | None) -> None:
        """Say that the rows are durable, or what happened instead."""
        if self.done.done():  # an awaiting caller that went away
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


def tell_here(batch: list[Entry], error: Exception | None) -> None:
    """Tell callers of the event loop that this runs on."""
    for entry in batch:
        entry.tell(error)


def tell_all(batch: list[Entry], error: Exception | None) -> None:
    """Wake every caller; those of one event loop together, since each wake-up of a loop costs a system call."""
    loops: dict[asyncio.AbstractEventLoop, list[Entry]] = {}
    for entry in batch:
        if entry.loop is None:
            entry.tell(error)
        else:
            loops.setdefault(entry.loop, []).append(entry)
    for loop, entries in loops.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(partial(tell_here, entries, error))
