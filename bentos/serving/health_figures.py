"""Model health for Prometheus, from the same queries as `GET /api/monitoring/model-health`."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from threading import Lock

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response

from clock import now
from edge.measurements import exposition
from monitoring.health import ModelHealth, model_health
from monitoring.rows import open_journal
from settings import Settings

WINDOW = timedelta(hours=1)
_FRESH_SECONDS = 60.0

logger = logging.getLogger("opora.scoring")

_FIGURES: dict[str, tuple[str, Callable[[ModelHealth], float | None]]] = {
    "requests": ("Scores given or tried in the last hour.", lambda health: health.requests),
    "failed_requests": ("Of these, tried in vain.", lambda health: health.failed),
    "simulation_share": ("Share of simulations among them.", lambda health: health.simulation_share),
    "unique_clients": ("Different clients named.", lambda health: health.unique_clients),
    "mean_latency_ms": ("From arrival to the score, milliseconds.", lambda health: health.mean_latency_ms),
    "p95_latency_ms": ("95 % of the requests took no longer, milliseconds.", lambda health: health.p95_latency_ms),
}


class HealthFigures:
    """What the journal says of a use case in the last hour, asked for once a minute at most however often it is scraped."""

    def __init__(self, use_case: str, config: Settings) -> None:
        self._use_case = use_case
        self._config = config
        self._lock = Lock()
        self._text = b""
        self._asked: float | None = None

    def metrics(self) -> Response:
        """`GET /metrics`: the figures of the processes, then these; a plain function, so that it runs in a thread."""
        return Response(exposition() + self._current(), media_type=CONTENT_TYPE_LATEST)

    @cached_property
    def _journal(self) -> Engine:
        return open_journal(self._config)

    def _current(self) -> bytes:
        with self._lock:
            if self._asked is None or time.monotonic() - self._asked >= _FRESH_SECONDS:
                self._text = self._counted()
                self._asked = time.monotonic()
            return self._text

    def _counted(self) -> bytes:
        """Nothing while the journal is away: the figures of the processes are wanted then more than ever."""
        until = now()
        try:
            health = model_health(self._journal, self._use_case, until - WINDOW, until)
        except (SQLAlchemyError, sqlite3.Error) as error:
            logger.warning("%s: model health is not known: %s", self._use_case, type(error).__name__)
            return b""
        registry = CollectorRegistry()
        for name, (meaning, figure) in _FIGURES.items():
            value = figure(health)
            if value is not None:
                Gauge(f"opora_model_health_{name}", meaning, ("use_case",), registry=registry).labels(self._use_case).set(value)
        for label, counts in (("version", health.requests_by_version), ("source", health.requests_by_source)):
            gauge = Gauge(
                f"opora_model_health_requests_by_{label}", f"Requests by {label}.", ("use_case", label), registry=registry
            )
            for key, count in counts.items():
                gauge.labels(self._use_case, key).set(count)
        return generate_latest(registry)
