"""Who is at work: a lease that its holder renews while it lives, and that ends by itself when it dies."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, delete, insert, select, update
from sqlalchemy.exc import DBAPIError

from clock import now
from monitoring.loop_tables import LEASES, writing

logger = logging.getLogger("opora.loop")


class LeaseLost(Exception):
    """Another process took over what this one was at work on, since it did not renew its lease in time."""


def holder_of(connection: Connection, name: str, at: datetime) -> str | None:
    """Who holds the lease at the moment `at`; None = nobody."""
    row = connection.execute(select(LEASES.c.holder, LEASES.c.until).where(LEASES.c.name == name)).one_or_none()
    return row.holder if row is not None and row.until > at else None


def take(connection: Connection, name: str, holder: str, length: timedelta, at: datetime) -> bool:
    """Take the lease, or prolong one's own; False where another holds it. In a transaction of `loop_tables.writing`."""
    if holder_of(connection, name, at) not in (None, holder):
        return False
    connection.execute(delete(LEASES).where(LEASES.c.name == name))
    connection.execute(insert(LEASES).values(name=name, holder=holder, until=at + length))
    return True


@contextmanager
def kept(engine: Engine, name: str, holder: str, length: timedelta) -> Iterator[None]:
    """Renew a lease that was taken until the block ends, in a thread; then give it back."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(length.total_seconds() / 3):
            try:
                with writing(engine) as connection:
                    ours = (LEASES.c.name == name) & (LEASES.c.holder == holder)
                    connection.execute(update(LEASES).where(ours).values(until=now() + length))
            except DBAPIError as error:  # the next time will do; without it the lease ends
                logger.warning("the lease of %s was not renewed: %s", name, type(error).__name__)

    thread = threading.Thread(target=renew, name=f"lease {name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with writing(engine) as connection:
            connection.execute(delete(LEASES).where(LEASES.c.name == name, LEASES.c.holder == holder))


def check(connection: Connection, name: str, holder: str) -> None:
    """Make sure that the lease is still ours.

    Raises:
        LeaseLost: another process has taken over.
    """
    row = connection.execute(select(LEASES.c.holder).where(LEASES.c.name == name)).one_or_none()
    if row is None or row.holder != holder:
        raise LeaseLost(f"{name}: another process took over meanwhile; what was done here is left aside")
