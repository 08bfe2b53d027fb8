"""Order of the tests (fast first) and the places that only some machines have."""

import asyncio
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import hypothesis
import pytest
from filelock import FileLock
from sqlalchemy import make_url, text

from database import open_database

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

# How long an example takes is bench/'s to say. Where a change is judged the same ones are tried every time; elsewhere new ones.
_UNTIMED: dict[str, Any] = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("exploring", **_UNTIMED)
hypothesis.settings.register_profile("repeatable", derandomize=True, **_UNTIMED)
hypothesis.settings.load_profile("repeatable" if os.environ.get("CI") else "exploring")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Integration tests last: a broken rule should show in seconds."""
    items.sort(key=lambda item: item.get_closest_marker("integration") is not None)


@pytest.fixture(scope="session", autouse=True)
def migrated_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """MLflow's migrations take seconds of a processor: the first empty registry has them, the others are copies of it.

    Only where a test module has imported `registry.models`; what a test starts as another process migrates by itself.
    """
    models = sys.modules.get("registry.models")
    if models is None:
        yield
        return
    prepare, folder = models._prepare_embedded, tmp_path_factory.mktemp("mlflow")

    @cache
    def copied(uri: str, var: Path) -> None:
        template, database = folder / "mlflow.db", Path(make_url(uri).database or "")
        prepare(f"sqlite:///{template}", folder)
        var.mkdir(parents=True, exist_ok=True)
        with FileLock(var / "mlflow.lock"):
            if not database.exists():
                _copy_whole(template, database)
        prepare(uri, var)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "_prepare_embedded", copied)
        yield


@pytest.fixture(scope="session")
def prefect_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of Prefect's: its migrations take many seconds of a processor, which a server over a copy is spared."""
    from prefect.server.database import provide_database_interface
    from prefect.server.database.dependencies import temporary_database_interface
    from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL, temporary_settings

    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    database, fresh = root / "prefect.db", root / "prefect-fresh.db"
    with FileLock(root / "prefect.lock"):
        if not database.exists():
            with (
                temporary_database_interface(),
                temporary_settings({PREFECT_SERVER_DATABASE_CONNECTION_URL: f"sqlite+aiosqlite:///{fresh}"}),
            ):
                asyncio.run(provide_database_interface().create_db())
            _copy_whole(fresh, database)
    return database


def _copy_whole(source: Path, database: Path) -> None:
    """Copy a SQLite database with what its write-ahead log still holds; the copy is there whole or not at all."""
    unfinished = database.with_suffix(".copy")
    with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(unfinished)) as copy:
        original.backup(copy)
    unfinished.replace(database)


@pytest.fixture(scope="module")
def prefect_server(prefect_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server that the flows of this process run on; gives its address."""
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing import utilities

    folder = tmp_path_factory.mktemp("prefect")
    shutil.copy(prefect_database, folder / "prefect-test.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utilities, "mkdtemp", lambda: str(folder))
        # Without signs of life no run of this process waits, up to a second, for the thread that gives them.
        silent = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
        with utilities.prefect_test_harness(server_startup_timeout=300), silent:
            yield str(PREFECT_API_URL.value())


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real data sets; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("OPORA_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set OPORA_REAL_DATA to run this test")
    return folder


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """URL of an empty schema of this test's own; skips where `OPORA_TEST_POSTGRES_URL` names no PostgreSQL."""
    url = os.environ.get("OPORA_TEST_POSTGRES_URL")
    if not url:
        pytest.skip("no PostgreSQL: set OPORA_TEST_POSTGRES_URL to run this test on it")
    schema, server = f"test_{uuid4().hex}", open_database(url)
    with server.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    yield make_url(url).update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(hide_password=False)
    with server.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    server.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database of this test's own: SQLite always, PostgreSQL where there is one."""
    return f"sqlite:///{tmp_path / 'test.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
