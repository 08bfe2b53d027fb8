"""Promises of the figures behind model-health."""

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, event

from clock import now
from database import open_database
from monitoring.health import model_health
from monitoring.journal import Journal, JournalRow
from monitoring.rows import JOURNAL

AT = now()
DAY = timedelta(days=1)


def row(**fields: object) -> JournalRow:
    given = {"use_case": "income", "source": "api", "features": {}, "score": {"income": 1.0}, "model_version": "3", "ts": AT}
    return JournalRow(**{**given, "latency_ms": 1.0, **fields})  # type: ignore[arg-type]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_database(database_url)
    Journal(engine).close()
    yield engine
    engine.dispose()


def write(engine: Engine, rows: list[JournalRow]) -> None:
    with Journal(engine) as journal:
        journal.write(rows)


def test_every_figure_counts_what_it_says(engine: Engine) -> None:
    rows = [
        row(client_id="1", latency_ms=10.0),
        row(client_id="1", latency_ms=20.0, source="card"),
        row(client_id="2", latency_ms=30.0, is_simulation=True),
        row(latency_ms=40.0, model_version=None, status="failed", score=None),
        row(client_id="9", source="shadow", latency_ms=900.0, is_simulation=True),
        row(client_id="9", use_case="fraud"),
        row(client_id="9", ts=AT - DAY),
        row(client_id="9", ts=AT + timedelta(seconds=1)),
    ]
    write(engine, rows)
    health = model_health(engine, "income", AT - DAY + timedelta(seconds=1), AT + timedelta(seconds=1))
    assert (health.requests, health.failed, health.simulation_share, health.unique_clients) == (4, 1, 0.25, 2)
    assert (health.mean_latency_ms, health.p95_latency_ms) == (25.0, 40.0)
    assert health.requests_by_version == {"3": 3, "none": 1}
    assert health.requests_by_source == {"api": 3, "card": 1}


def test_latencies_are_told_to_the_microsecond(engine: Engine) -> None:
    write(engine, [row(latency_ms=latency) for latency in (1.0, 1.0, 2.00049)])
    health = model_health(engine, "income", AT, AT + DAY)
    assert (health.mean_latency_ms, health.p95_latency_ms) == (1.333, 2.0)


def test_a_window_without_requests_has_no_shares_and_no_latencies(engine: Engine) -> None:
    health = model_health(engine, "income", AT - DAY, AT)
    assert (health.requests, health.failed, health.unique_clients) == (0, 0, 0)
    assert (health.simulation_share, health.mean_latency_ms, health.p95_latency_ms) == (None, None, None)
    assert health.requests_by_version == {}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(latencies=st.lists(st.floats(0, 1e4, width=32), min_size=1, max_size=60))
def test_p95_is_the_smallest_latency_that_95_of_100_requests_do_not_exceed(engine: Engine, latencies: list[float]) -> None:
    with engine.begin() as connection:
        connection.execute(delete(JOURNAL))
    write(engine, [row(latency_ms=latency) for latency in latencies])
    found = model_health(engine, "income", AT, AT + DAY).p95_latency_ms
    assert found == round(float(np.percentile(latencies, 95, method="inverted_cdf")), 3)


def test_the_database_does_the_counting(engine: Engine) -> None:
    write(engine, [row(client_id=str(number % 700)) for number in range(2000)])
    queries: list[str] = []
    event.listen(engine, "after_cursor_execute", lambda *said: queries.append(said[2]))
    assert model_health(engine, "income", AT, AT + DAY).unique_clients == 700
    asked = [query for query in queries if query.startswith("SELECT")]
    assert len(asked) == 4
    assert all("count(" in query or "LIMIT" in query for query in asked)
