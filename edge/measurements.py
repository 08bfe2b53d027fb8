"""Prometheus figures of a service, by route template: never by raw path, which would publish client codes."""

import time

from fastapi import FastAPI
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Measurements:
    """Requests and their durations of one service, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        labels = ("endpoint", "status")
        self.requests = Counter("opora_requests", "Requests answered.", labels, registry=self.registry)
        self.durations = Histogram(
            "opora_request_duration_seconds", "From arrival to the last byte handed over.", labels, registry=self.registry
        )

    def serve(self, app: FastAPI) -> None:
        """Add `GET /metrics` to `app`."""

        @app.get("/metrics", include_in_schema=False)
        def metrics() -> Response:
            return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)


class Measured:
    """ASGI middleware that counts and times every request into `measurements`."""

    def __init__(self, app: ASGIApp, measurements: Measurements) -> None:
        self._app = app
        self._measurements = measurements

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = "500"

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            labels = (getattr(scope.get("route"), "path", "other"), status)
            self._measurements.requests.labels(*labels).inc()
            self._measurements.durations.labels(*labels).observe(time.perf_counter() - started)
