"""A small consent service on each kind of database, over real rows: a store, a clock to set, and callers with keys."""

import os
import runpy
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from shutil import copyfile
from uuid import uuid4

import ibis
import pandas as pd
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import URL, Connection, MetaData, create_engine, insert, make_url, select, text

from consent_api.app import create_app
from consent_api.budget import Caps
from consent_api.callers.credentials import Keyring
from consent_api.callers.issuers import OWN, Issuers, development
from consent_api.catalogue import load_catalogue
from consent_api.contributions import Source
from consent_api.custody.outside import Custody
from consent_api.record.notices import load_notices
from consent_api.reports import Plan
from consent_api.reports import plans as configured_plans
from consent_api.service import Service
from consent_api.store import Store, open_store
from database import open_database
from features.online import OnlineStore
from settings import PROJECT, Settings, settings
from tests.privacy.crowds import engine

CLIENTS = [str(number) for number in range(1, 41)]
CATALOGUES = Path(__file__).parents[2] / "catalogues"


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 21, 12, 0, 0, 654321, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment


@dataclass
class Bank:
    """The service under test and how to call it."""

    store: Store
    service: Service
    clock: Clock
    http: TestClient
    body_limit: int
    config: Settings

    def headers(self, role: str, subject: str) -> dict[str, str]:
        return {"X-API-Key": self.service.keyring.issue(role, subject, self.clock())}

    def bearer(self, client_code: str) -> dict[str, str]:
        """A new token of this client: good for reading, and for one change."""
        token = development(self.config).token(client_code, OWN, self.clock(), timedelta(minutes=5))
        return {"Authorization": f"Bearer {token}"}

    def caller(self, role: str, subject: str) -> Callable:
        """`call("GET", "/path", json=…)` with a key of this role."""
        headers = self.headers(role, subject)

        def call(method: str, path: str, **arguments):
            return self.http.request(method, path, headers={**headers, **arguments.pop("headers", {})}, **arguments)

        return call


@pytest.fixture(scope="session")
def server_url() -> str:
    url = os.environ.get("OPORA_TEST_POSTGRES_URL")
    if not url:
        pytest.skip("no PostgreSQL to test on: set OPORA_TEST_POSTGRES_URL")
    return url


@pytest.fixture(scope="session")
def postgres_database(server_url: str) -> Iterator[URL]:
    """A database of this run, dropped after it."""
    server, name = create_engine(server_url, isolation_level="AUTOCOMMIT"), f"opora_test_{uuid4().hex[:12]}"
    with server.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    yield make_url(server_url).set(database=name)
    with server.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    server.dispose()


def _schema_of_its_own(database: URL) -> str:
    """A URL under which one finds an empty schema: quicker to make than a database."""
    name = f"s{uuid4().hex[:12]}"
    engine = create_engine(database)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    engine.dispose()
    return database.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(hide_password=False)


@pytest.fixture
def postgres_url(postgres_database: URL) -> str:
    """Where a test finds an empty PostgreSQL."""
    return _schema_of_its_own(postgres_database)


class Migrated:
    """A PostgreSQL schema as the service has it before the first request, brought back to that for each test."""

    def __init__(self, database: URL, folder: Path) -> None:
        self.url = _schema_of_its_own(database)
        open_store(Settings(var=folder, database_url=self.url)).close()
        self._engine = create_engine(self.url, pool_pre_ping=True)  # some tests end all connections
        with self._engine.begin() as connection:
            names = list(connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema")))
            self._first = {name: connection.execute(text(f"TABLE {name}")).mappings().all() for name in names}
        self._shape = self._shape_now()

    def is_whole(self) -> bool:
        """Whether no test has renamed a table or dropped a trigger."""
        return self._shape_now() == self._shape

    def empty(self) -> None:
        """Take out what was written, past the triggers that refuse it."""
        with self._engine.begin() as connection:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            connection.execute(text(";".join(f"DELETE FROM {name}" for name in self._first)))
            for name, rows in self._first.items():
                if rows:
                    values = ", ".join(f":{column}" for column in rows[0])
                    connection.execute(text(f"INSERT INTO {name} ({', '.join(rows[0])}) VALUES ({values})"), [*map(dict, rows)])

    def _shape_now(self) -> list[tuple]:
        """Names of all tables and indexes, and triggers with whether they are on."""
        with self._engine.begin() as connection:
            ours = "relnamespace = current_schema::regnamespace"
            relations = connection.execute(text(f"SELECT relname, '' FROM pg_class WHERE {ours}"))
            triggers = f"SELECT tgname, tgenabled::text FROM pg_trigger JOIN pg_class ON tgrelid = pg_class.oid WHERE {ours}"
            return sorted(map(tuple, [*relations, *connection.execute(text(triggers))]))


@pytest.fixture(scope="session")
def migrated(postgres_database: URL, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Gives the URL of a schema that is migrated and empty; making one for each test would take most of the time."""
    kept: list[Migrated] = []

    def emptied() -> str:
        if not kept or not kept[-1].is_whole():
            kept.append(Migrated(postgres_database, tmp_path_factory.mktemp("migrated")))
        kept[-1].empty()
        return kept[-1].url

    return emptied


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, all of it in the main file, to be copied."""
    folder = tmp_path_factory.mktemp("template")
    template = open_store(Settings(var=folder, database_url=""))
    with template.engine.connect() as connection:
        connection.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    template.close()
    return folder / "consent.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        config = Settings(var=tmp_path, database_url="")
        copyfile(request.getfixturevalue("sqlite_template"), tmp_path / "consent.db")
    else:
        config = Settings(var=tmp_path, database_url=request.getfixturevalue("migrated")())
    opened = Store(open_database(config.database("consent")), Custody.of(config), load_notices(config.catalogues))
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


_running: list[Service] = []
"""The last one is behind the application."""


@cache
def _app() -> FastAPI:
    """One application for all tests, which takes up the service of the test as it starts."""
    return create_app(_running.pop, Settings(stranger_rate_per_second=1e6))


@pytest.fixture
def bank(store: Store, clock: Clock, tmp_path: Path) -> Iterator[Bank]:
    online = OnlineStore(open_database(f"sqlite:///{tmp_path / 'online.db'}"))
    online.write("profile", pd.DataFrame({"client_code": CLIENTS, "as_of": [clock.moment.replace(tzinfo=None)] * len(CLIENTS)}))
    config = Settings(var=tmp_path, stranger_rate_per_second=1e6)
    keyring, issuers = Keyring(store, b"p" * 32), Issuers.of(config)
    service = Service(store, keyring, issuers, load_catalogue(CATALOGUES), online.knows, clock, online, config)
    _running.append(service)
    with TestClient(_app(), raise_server_exceptions=False) as http:
        yield Bank(store, service, clock, http, config.body_limit, config)


def backup_of(store: Store) -> Callable[[], None]:
    """Keeps the database's rows as they are; what it returns puts them back, below the guards, as a restored backup is."""
    with store.reading() as connection:
        metadata = MetaData()
        metadata.reflect(connection)
        kept = {table: [dict(row._mapping) for row in connection.execute(select(table))] for table in metadata.sorted_tables}

    def put_back() -> None:
        with store.engine.begin() as connection:
            _let_go(connection)
            for table in reversed(kept):
                connection.execute(table.delete())
            for table, rows in kept.items():
                if rows:
                    connection.execute(insert(table), rows)

    return put_back


def _let_go(connection: Connection) -> None:
    """By files on SQLite, by the owner on PostgreSQL."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        return
    names = connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all()
    for name in names:
        connection.execute(text(f"DROP TRIGGER {name}"))


@pytest.fixture
def backup(store: Store) -> Callable[[], Callable[[], None]]:
    return lambda: backup_of(store)


Command = Callable[..., subprocess.CompletedProcess[str]]
"""`command("consent_api.auth", "list")`: how `python -m consent_api.auth list` ends, and what it prints."""


@pytest.fixture
def process(tmp_path: Path) -> Command:
    """A command as a process of its own, which takes a second to import everything."""

    def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "OPORA_VAR": str(tmp_path), "OPORA_DATABASE_URL": "", "PYTHONPATH": str(PROJECT)}
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=60)

    return run


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """The same, run in this process."""
    monkeypatch.setenv("OPORA_VAR", str(tmp_path))
    monkeypatch.setenv("OPORA_DATABASE_URL", "")
    settings.cache_clear()

    def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", [module, *arguments])
        capsys.readouterr()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # that the module has been imported before
            with pytest.raises(SystemExit) as ended:
                runpy.run_module(module, run_name="__main__", alter_sys=True)
        return subprocess.CompletedProcess(sys.argv, ended.value.code, *capsys.readouterr())

    yield run
    settings.cache_clear()


@pytest.fixture(scope="session")
def plans() -> dict[str, Plan]:
    return configured_plans(load_catalogue(CATALOGUES), Settings())


@pytest.fixture
def caps() -> Caps:
    return Caps.of(Settings())


@pytest.fixture(scope="session")
def purchases() -> Callable[[list[tuple[str, str, str, float]]], Source]:
    """(client, moment, category, tenge) as the lake has them."""

    def made(rows: list[tuple[str, str, str, float]]) -> Source:
        frame = pd.DataFrame(rows, columns=["client_code", "date", "category", "amount"])
        frame["date"] = pd.to_datetime(frame["date"], format="ISO8601").astype("datetime64[us]")
        frame["currency"] = "KZT"
        return Source(ibis.memtable(frame), engine(), {"KZT": 1.0, "USD": 520.0})

    return made
