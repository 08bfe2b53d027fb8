"""Databases for the journal: SQLite always, PostgreSQL where `OPORA_TEST_POSTGRES_URL` names one."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import make_url, text

from database import open_database
from tests.monitoring.incomes import TASK, clients
from training.candidates import Budget
from training.fit import Trained, train


@pytest.fixture(scope="session")
def income_model(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model of income, trained once for all tests of the flows; each registers it for itself."""
    return train(TASK, clients(2000, 1), tmp_path_factory.mktemp("income"), Budget(1, 30), 1, lambda share, sentence: None)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of an empty database of this test's own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'journal.db'}"
        return
    url = os.environ.get("OPORA_TEST_POSTGRES_URL")
    if not url:
        pytest.skip("no PostgreSQL: set OPORA_TEST_POSTGRES_URL to run this test on it")
    schema = f"journal_{uuid4().hex}"
    server = open_database(url)
    with server.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    yield make_url(url).update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(hide_password=False)
    with server.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    server.dispose()
