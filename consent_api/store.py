"""The database of the consent service: opened, migrated, and written by one transaction at a time."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text

from clock import now
from consent_api import audit, revisions
from consent_api.committer import Answer, Committer, Work
from consent_api.custody import withdrawals
from consent_api.custody.outside import Custody
from consent_api.record.notices import Notices, keep, load_notices
from database import Turn, open_database, take_turn
from settings import Settings

_PATIENCE = "10s"


class Store:
    """Transactions on the consent database.

    Writers queue up behind one lock (SQLite's own, an advisory lock on PostgreSQL): the audit chain has one head, and a budget
    or a consent that was read in a writing transaction is still true when it commits.
    """

    def __init__(self, engine: Engine, custody: Custody, notices: Notices) -> None:
        withdrawals.log_at_commit(engine)
        audit.remember_heads(engine)
        self.custody = custody
        self.notices = notices
        self.engine = engine.execution_options(custody=custody, notices=notices)
        self._committer = Committer(self.writing)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A serialised transaction, durable when the block has ended; an exception inside leaves nothing behind.

        Raises:
            DBAPIError: the database is away, or another writer held it too long.
        """
        with self.engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE}'"))
            take_turn(connection, Turn.WRITE_CONSENTS)
            yield connection

    def submit(self, work: Work[Answer]) -> Future[Answer]:
        """Have `work` run in a transaction like those of `writing`, which it shares with others that are submitted meanwhile.

        Raises:
            TooManyWait, CommitterClosed: it will not run. The future's exceptions are those of `writing`, and those of `work`.
        """
        return self._committer.submit(work)

    async def written(self, work: Work[Answer]) -> Answer:
        """`submit` for a caller on an event loop: the answer of `work`, once all that it did is durable."""
        return await asyncio.wrap_future(self.submit(work))

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that waits for no writer."""
        with self.engine.connect().execution_options(read_only=True) as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Finish what was submitted, and let go of the database."""
        self._committer.close()
        self.engine.dispose()

    def migrate(self) -> None:
        """Bring the tables to the newest version; several processes may do so at once."""
        if not self.is_ready():
            with self.writing() as connection:
                revisions.upgrade(connection)

    def is_ready(self) -> bool:
        """Whether the tables are those of this code."""
        with self.reading() as connection:
            return revisions.revision(connection) == revisions.NEWEST


def open_store(config: Settings) -> Store:
    """Open the consent database (SQLite or PostgreSQL) with what is kept outside it, and migrate it.

    Raises:
        DBAPIError: the database does not answer.
        ConfigurationError: the pepper is too short.
        BrokenCatalogue: the texts of consents cannot be read, or contradict what clients were shown.
    """
    store = Store(open_database(config.database("consent")), Custody.of(config), load_notices(config.catalogues))
    store.migrate()
    with store.writing() as connection:
        keep(connection, store.notices.all(), now())
    return store
