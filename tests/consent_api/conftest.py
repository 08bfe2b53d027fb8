"""A small consent service on each kind of database, over real rows: a store, a clock to set, and callers with keys."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import ibis
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import URL, create_engine, make_url, text

from consent_api.app import create_app
from consent_api.budget import Caps
from consent_api.callers.credentials import Keyring
from consent_api.callers.issuers import OWN, Issuers, development
from consent_api.catalogue import load_catalogue
from consent_api.contributions import Source
from consent_api.reports import Plan
from consent_api.reports import plans as configured_plans
from consent_api.service import Service
from consent_api.store import Store, open_store
from database import open_database
from features.online import OnlineStore
from settings import Settings

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
    """A URL under which each test finds an empty schema: quicker to make than a database."""
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


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    opened = open_store(Settings(var=tmp_path, database_url=url))
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bank(store: Store, clock: Clock, tmp_path: Path) -> Iterator[Bank]:
    online = OnlineStore(open_database(f"sqlite:///{tmp_path / 'online.db'}"))
    online.write("profile", pd.DataFrame({"client_code": CLIENTS, "as_of": [clock.moment.replace(tzinfo=None)] * len(CLIENTS)}))
    config = Settings(var=tmp_path, stranger_rate_per_second=1e6)
    keyring, issuers = Keyring(store, b"p" * 32), Issuers.of(config)
    service = Service(store, keyring, issuers, load_catalogue(CATALOGUES), online.knows, clock, online, config)
    with TestClient(create_app(lambda: service, config), raise_server_exceptions=False) as http:
        yield Bank(store, service, clock, http, config.body_limit, config)


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
        return Source(ibis.memtable(frame), ibis.duckdb.connect(), {"KZT": 1.0, "USD": 520.0})

    return made
