"""The registry read from MLflow's own tables, in the embedded SQLite file or on PostgreSQL."""

import shutil
import sqlite3
from functools import partial
from pathlib import Path

from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, and_, create_engine, make_url, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from database import open_database
from registry.reader import SHA256_TAG, Registered, RegistryUnreachable, local_folder
from registry.scorer import MANIFEST, DamagedModel

_PATIENCE = 2.0
_TABLES = MetaData()
_VERSION = ("name", String), ("version", Integer), ("workspace", String)
_ALIASES = Table("registered_model_aliases", _TABLES, *(Column(*column) for column in _VERSION), Column("alias", String))
_VERSIONS = Table(
    "model_versions",
    _TABLES,
    *(Column(*column) for column in _VERSION),
    Column("source", String),
    Column("storage_location", String),
    Column("current_stage", String),
)
_TAGS = Table(
    "model_version_tags", _TABLES, *(Column(*column) for column in _VERSION), Column("key", String), Column("value", String)
)
_WORKSPACE = "default"
"""What MLflow writes where workspaces are not in use."""


class TableReader:
    """Reads, and never writes: not even the file is made when it is absent."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._engine = _reading(uri)

    def aliased(self, name: str, alias: str) -> Registered | None:
        """One query: the alias and the hash of its version."""
        same = and_(*(_TAGS.c[column] == _ALIASES.c[column] for column, _ in _VERSION), _TAGS.c.key == SHA256_TAG)
        query = (
            select(_ALIASES.c.version, _TAGS.c.value)
            .join_from(_ALIASES, _TAGS, same, isouter=True)
            .where(_ALIASES.c.name == name, _ALIASES.c.alias == alias, _ALIASES.c.workspace == _WORKSPACE)
        )
        row = self._first(query)
        return None if row is None else Registered(name, str(row[0]), row[1])

    def fetch(self, registered: Registered, into: Path) -> None:
        """Copy the folder among the version's artifacts that holds a manifest."""
        where = _VERSIONS.c.name == registered.name, _VERSIONS.c.version == int(registered.version)
        query = select(_VERSIONS.c.storage_location, _VERSIONS.c.source).where(*where, _VERSIONS.c.workspace == _WORKSPACE)
        row = self._first(query)
        if row is None:
            raise DamagedModel(f"{registered.name} has no version {registered.version} any more: promote another")
        copy_scorer(local_folder(row[0] or row[1] or "", registered.name, registered.version), into)

    def _first(self, query: object) -> tuple[str | None, ...] | None:
        try:
            with self._engine.connect().execution_options(read_only=True) as connection:
                row = connection.execute(query).first()  # type: ignore[call-overload]
        except SQLAlchemyError as error:
            reason = type(getattr(error, "orig", None) or error).__name__
            place = make_url(self._uri).render_as_string(hide_password=True)
            raise RegistryUnreachable(
                f"the registry's database ({place}) cannot be read ({reason}): start it, or make it with a first training "
                "(make pipeline)"
            ) from error
        return None if row is None else tuple(row)


def copy_scorer(artifacts: Path, into: Path) -> None:
    """Copy the scorer's files out of a version's artifact folder.

    Raises:
        DamagedModel: there is no scorer in it.
    """
    found = sorted((artifacts / "artifacts").glob(f"*/{MANIFEST}"))
    if not found:
        raise DamagedModel(f"{artifacts} holds no {MANIFEST}: the files of this version are gone, so train it again")
    for file in found[0].parent.iterdir():
        if file.is_file():
            shutil.copyfile(file, into / file.name)


def _reading(uri: str) -> Engine:
    url = make_url(uri)
    if url.get_backend_name() != "sqlite":
        return open_database(uri)
    # Not open_database: that would make the file where there is none, and change how MLflow's own processes journal. And no pool:
    # an open connection would go on reading a file that has been removed or replaced.
    connect = partial(sqlite3.connect, f"file:{url.database}?mode=ro", uri=True, timeout=_PATIENCE, check_same_thread=False)
    return create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)
