"""Noting where the audit chain ends in a file outside the database: what was noted cannot be cut off or written anew unseen."""

import asyncio
import logging

from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import DBAPIError

from chain import Verification
from clock import now
from consent_api import audit
from consent_api.custody.append_only import Line
from consent_api.store import Store

logger = logging.getLogger("opora.consent")


def note_head(store: Store) -> None:
    """Write the newest audit row's number and hash to the file of anchors, unless they stand there already.

    Raises:
        OSError: the file cannot be written.
        DBAPIError: the database does not answer.
    """
    with store.reading() as connection:
        head = audit.head(connection)

    def line(newest: Line | None) -> list[Line]:
        noted = newest["sequence"] if newest else 0
        return [{"at": now().isoformat(), "sequence": head.sequence, "hash": head.hash}] if head.sequence > noted else []

    store.custody.anchors.append(line)


def verified(store: Store) -> Verification:
    """Check the audit chain against itself and the anchors."""
    anchors = list(store.custody.anchors.read())  # before the rows: what is noted meanwhile may not be among them
    with store.reading() as connection:
        return audit.verify(connection, anchors)


async def note_regularly(store: Store, seconds: float) -> None:
    """Note the head every `seconds` for as long as the service runs; a failure is logged and tried again."""
    while True:
        try:
            await run_in_threadpool(note_head, store)
        except (OSError, DBAPIError) as error:
            logger.error("the end of the audit chain could not be noted: %s", type(error).__name__)
        await asyncio.sleep(seconds)
