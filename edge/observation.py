"""What is kept of every request: an id, a log line and two figures. Outermost: what goes wrong inside does not get out."""

import logging
import os
import re
import time
from collections.abc import Sequence
from random import Random

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.errors import UNEXPECTED, RequestRefused
from edge.logs import failure
from edge.measurements import note_request

logger = logging.getLogger("opora.requests")

_REQUEST_ID = re.compile(rb"(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9_-]{16,64}")
"""A caller's own id: long enough to be unique, and never digits alone, which could be a card or a person's number."""
_RANDOM = Random()  # noqa: S311 - ids are unique, not secret, and asking the kernel takes longer
os.register_at_fork(after_in_child=_RANDOM.seed)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CLIENT_GONE = 499
_UNAVAILABLE = 503
_HEADER = b"x-request-id"


class Observed:
    """ASGI middleware: gives every request an id (X-Request-Id), counts, times and logs it by route template.

    An exception that reaches it is logged by type and place and answered with 500 in the one error shape.

    Args:
        app: what is observed.
        routes: of the application, so that a request that is refused on its way there is counted where it was going.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute] = ()) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        identify(scope)
        answer = _Answer(scope, send)
        try:
            await self._app(scope, receive, answer)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets the one error shape and the log the place
            refusal = unexpected(scope, error)
            if answer.status == _CLIENT_GONE:
                await refusal.response()(scope, receive, answer)
        finally:
            keep(scope, self._endpoint(scope), answer.status, time.perf_counter() - started)

    def _endpoint(self, scope: Scope) -> str:
        """The template of the route that took the request, or would have; "other" for an address that nobody serves."""
        taken = scope.get("route")
        candidates = (route for route in self._routes if route.matches(scope)[0] is not Match.NONE)
        return str(getattr(taken or next(candidates, None), "path", "other"))


class _Answer:
    """Sends an answer on with the request's id, and remembers its status."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.status = _CLIENT_GONE
        self._scope = scope
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            if not any(name.lower() == _HEADER for name, _ in headers):
                headers.append((_HEADER, self._scope["state"]["request_id"].encode()))
            message = {**message, "headers": headers}
        await self._send(message)


def identify(scope: Scope) -> str:
    """Give a request its id (`scope["state"]["request_id"]`): the caller's own where it has a usable one."""
    request_id = _given_id(scope) or f"{_RANDOM.getrandbits(128):032x}"
    scope.setdefault("state", {})["request_id"] = request_id
    return request_id


def unexpected(scope: Scope, error: Exception) -> RequestRefused:
    """Log by type and place what nobody expected; what the caller is told of it."""
    logger.error("failed", extra={"fields": {"request_id": scope["state"]["request_id"]} | failure(error)})
    return UNEXPECTED


def _given_id(scope: Scope) -> str | None:
    given = [value for name, value in scope["headers"] if name == _HEADER]
    return given[0].decode() if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]) else None


def keep(scope: Scope, endpoint: str, status: int, seconds: float) -> None:
    """Count, time and log an answered request of a route template."""
    note_request(endpoint, status, seconds)
    level = logging.INFO if status < 500 else logging.WARNING if status == _UNAVAILABLE else logging.ERROR
    if logger.isEnabledFor(level):
        fields = {
            "route": endpoint,
            "method": scope["method"] if scope["method"] in _METHODS else "OTHER",
            "status": status,
            "latency_ms": round(seconds * 1000, 3),
            "request_id": scope["state"]["request_id"],
        }
        record = logging.LogRecord(logger.name, level, "", 0, "request", None, None)  # nobody asks which line of ours wrote it
        record.fields = fields
        logger.handle(record)
