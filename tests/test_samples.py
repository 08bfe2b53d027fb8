"""P21: PostgreSQL's planner keeps no samples of what clients are called and what is known of them."""

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import Engine, MetaData, create_engine, text

from bentos.income import rounds
from bentos.prescoring import queue
from bentos.recommendation import tables
from database import create_tables
from features import online
from monitoring import rows

SCHEMAS = {
    "journal": rows.SCHEMA,
    "online features": online._METADATA,
    "rounds": rounds._METADATA,
    "recommendations": tables.SCHEMA,
    "tasks": queue._METADATA,
}
_SAMPLED = text(
    "SELECT relname || '.' || attname FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid WHERE relkind = 'r' "
    "AND relnamespace = current_schema::regnamespace AND attnum > 0 AND attstattarget IS DISTINCT FROM 0"
)
PERSONAL = {"client_code", "client_id", "features", "observed", "payload", "push_notification", "result", "values"}


@pytest.fixture
def engine() -> Iterator[Engine]:
    """A schema of its own."""
    url = os.environ.get("OPORA_TEST_POSTGRES_URL")
    if not url:
        pytest.skip("no PostgreSQL: set OPORA_TEST_POSTGRES_URL to run this test on it")
    name = f"s{uuid4().hex[:12]}"
    engine = create_engine(url, connect_args={"options": f"-csearch_path={name}"})
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    yield engine
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
    engine.dispose()


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_p21_columns_about_clients_are_not_sampled(engine: Engine, schema: MetaData) -> None:
    create_tables(engine, schema)
    with engine.begin() as connection:
        sampled = set(connection.scalars(_SAMPLED))
    columns = {f"{table.name}.{column.name}" for table in schema.tables.values() for column in table.c}
    assert sampled == {name for name in columns if name.split(".")[1] not in PERSONAL}
