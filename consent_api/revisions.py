"""Which tables a database has: the revision it is at, the newest there is, and the way from one to the other."""

from pathlib import Path

from sqlalchemy import Connection, Text, column, inspect, select, table

TABLE = "consent_alembic_version"
_MIGRATIONS = Path(__file__).parent / "migrations"
NEWEST = max(path.stem.split("_")[0].removeprefix("v") for path in (_MIGRATIONS / "versions").glob("v*.py"))
"""The revision of this code's tables: that of the newest file, which begins with it."""
_REVISION = select(column("version_num", Text)).select_from(table(TABLE))


def revision(connection: Connection) -> str | None:
    """The revision of the tables that are there; None: there are none."""
    return connection.scalar(_REVISION) if inspect(connection).has_table(TABLE) else None


def upgrade(connection: Connection, upto: str = "head") -> None:
    """Bring the tables to a revision, in the caller's transaction."""
    from alembic import command  # most starts find the newest tables, and need none of it
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, upto)
