"""Prometheus figures of a service, by route template: never by raw path, which would publish client codes."""

import os
from functools import cache

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
)
from starlette.responses import Response

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

REQUESTS = Counter("opora_requests", "Requests answered.", ("endpoint", "status"))
DURATIONS = Histogram(
    "opora_request_duration_seconds", "From arrival to the last byte handed over.", ("endpoint", "status_class"), buckets=_BUCKETS
)


def note_request(endpoint: str, status: int, seconds: float) -> None:
    """Count one request of a route template with its status, and time it by class of status (2xx, 4xx, …)."""
    answered, took = _figures(endpoint, status)
    answered.inc()
    took.observe(seconds)


@cache
def _figures(endpoint: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(endpoint, str(status)), DURATIONS.labels(endpoint, f"{status // 100}xx")


def exposition() -> bytes:
    """Every figure of the service as Prometheus text: of all its processes when there are several, else of this one.

    Processes share figures through files when `PROMETHEUS_MULTIPROC_DIR` is set; whoever ended since is left out of live gauges.
    """
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def metrics() -> Response:
    """`GET /metrics`; a plain function, so that files are read in a thread."""
    return Response(exposition(), media_type=CONTENT_TYPE_LATEST)
