"""The database of the consent service: opened, migrated, and written by one transaction at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from database import open_database

VERSION_TABLE = "consent_alembic_version"
_LOCK = 0x0B0A_0002  # names our writers among PostgreSQL's advisory locks
_PATIENCE = "10s"


class Store:
    """Transactions on the consent database.

    Writers queue up behind one lock (SQLite's own, an advisory lock on PostgreSQL): the audit chain has one head, and a budget
    or a consent that was read in a writing transaction is still true when it commits.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A serialised transaction, durable when the block has ended; an exception inside leaves nothing behind.

        Raises:
            DBAPIError: the database is away, or another writer held it too long.
        """
        with self.engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE}'"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that waits for no writer."""
        with self.engine.connect().execution_options(read_only=True) as connection, connection.begin():
            yield connection

    def migrate(self) -> None:
        """Bring the tables to the newest version; several processes may do so at once."""
        with self.writing() as connection:
            config = _alembic()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def is_ready(self) -> bool:
        """Whether the tables are those of this code."""
        with self.reading() as connection:
            context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
            return context.get_current_revision() == ScriptDirectory.from_config(_alembic()).get_current_head()


def open_store(url: str) -> Store:
    """Open the consent database at `url` (SQLite or PostgreSQL) and migrate it.

    Raises:
        DBAPIError: the database does not answer.
    """
    store = Store(open_database(url))
    store.migrate()
    return store


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
