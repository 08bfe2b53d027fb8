"""Prometheus sees the health that `GET /api/monitoring/model-health` tells, and its own figures when the journal is away."""

import resource
from datetime import timedelta
from pathlib import Path

import pytest

from bentos.serving import health_figures
from bentos.serving.health_figures import HealthFigures
from clock import now
from database import open_database
from monitoring.draining import folder_of
from monitoring.health import model_health
from monitoring.journal import Journal, JournalRow
from settings import Settings


def keep(config: Settings, **fields: object) -> None:
    given = {
        "use_case": "fraud",
        "source": "api",
        "features": {},
        "score": {"fraud": 0.1},
        "model_version": "3",
        "latency_ms": 4.0,
    }
    with Journal(open_database(config.database("journal"))) as journal:
        journal.write([JournalRow(**{**given, **fields})])  # type: ignore[arg-type]


def text_of(figures: HealthFigures) -> str:
    return bytes(figures.metrics().body).decode()


def test_the_figures_are_those_of_model_health(tmp_path: Path) -> None:
    config = Settings(var=tmp_path)
    keep(config, client_id="CANARY-1")
    keep(config, client_id="CANARY-1", source="card", latency_ms=8.0)
    keep(config, status="failed", score=None, model_version=None)
    keep(config, use_case="income")
    keep(config, ts=now() - 2 * health_figures.WINDOW)
    text = text_of(HealthFigures("fraud", config))
    health = model_health(open_database(config.database("journal")), "fraud", now() - health_figures.WINDOW, now() + timedelta(1))
    assert f'opora_model_health_requests{{use_case="fraud"}} {float(health.requests)}' in text
    assert f'opora_model_health_failed_requests{{use_case="fraud"}} {float(health.failed)}' in text
    assert f'opora_model_health_p95_latency_ms{{use_case="fraud"}} {health.p95_latency_ms}' in text
    assert 'opora_model_health_requests_by_version{use_case="fraud",version="3"} 2.0' in text
    assert 'opora_model_health_requests_by_source{source="card",use_case="fraud"} 1.0' in text
    assert (health.requests, health.failed) == (3, 1)
    assert "CANARY" not in text


def test_scrapes_within_a_minute_ask_the_journal_once(tmp_path: Path) -> None:
    config = Settings(var=tmp_path)
    keep(config)
    figures = HealthFigures("fraud", config)
    first = text_of(figures)
    keep(config)
    assert 'opora_model_health_requests{use_case="fraud"} 1.0' in first
    assert 'opora_model_health_requests{use_case="fraud"} 1.0' in text_of(figures)


def test_while_the_journal_is_away_the_other_figures_are_still_given(tmp_path: Path) -> None:
    away = "postgresql+psycopg://opora@127.0.0.1:1/opora"
    text = text_of(HealthFigures("fraud", Settings(var=tmp_path, database_url=away)))
    assert "opora_model_health" not in text
    assert "opora_journal_queue_rows" in text


def test_on_a_full_disk_the_other_figures_are_still_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Settings(var=tmp_path)
    keep(config)
    monkeypatch.setattr(health_figures, "_FRESH_SECONDS", 0)
    figures = HealthFigures("fraud", config)
    assert "opora_model_health" in text_of(figures)
    spools = folder_of(open_database(config.database("journal")))
    assert spools is not None
    spools.mkdir(exist_ok=True)  # so that reading begins with moving rows, which has to write
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        text = text_of(figures)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "opora_model_health" not in text
    assert "opora_journal_queue_rows" in text
