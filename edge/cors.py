"""Which web pages may call a service from a browser: none, unless they are listed."""

from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.errors import RequestRefused

_METHODS = "GET, POST, PUT, DELETE"
_HEADERS = (
    "Authorization, Content-Type, X-API-Key, X-Request-Id, Idempotency-Key, If-Match, If-None-Match, "
    "Notice-Version, Notice-Language"
)
_READABLE = "X-Request-Id, Retry-After, ETag, Location, Link"
_REMEMBERED_SECONDS = "600"


class CrossOrigin:
    """ASGI middleware: pages of `origins` may call and read answers, without cookies; to all others no allow header is sent.

    Raises:
        ValueError: an origin is `*` or not of the form https://name[:port].
    """

    def __init__(self, app: ASGIApp, origins: Iterable[str]) -> None:
        self._app = app
        self._origins = frozenset(_checked(origin) for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None:
            await self._app(scope, receive, send)
        elif scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await self._preflight(origin)(scope, receive, send)
        elif origin in self._origins:
            await self._app(scope, receive, _allowing(origin, send))
        else:
            await self._app(scope, receive, send)

    def _preflight(self, origin: str) -> Response:
        if origin not in self._origins:
            return _STRANGER.response()
        allowed = {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": _HEADERS,
            "Access-Control-Max-Age": _REMEMBERED_SECONDS,
            "Vary": "Origin",
        }
        return Response(status_code=204, headers=allowed)


def _allowing(origin: str, send: Send) -> Send:
    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = _READABLE
            headers.add_vary_header("Origin")
        await send(message)

    return marked


def _checked(origin: str) -> str:
    scheme, separator, name = origin.partition("://")
    if scheme not in ("http", "https") or not separator or not name or set(name) & set("/*?#@ "):
        raise ValueError(f"{origin!r} is no origin: write https://name or https://name:port, without a path and never *")
    return origin


_STRANGER = RequestRefused(
    403, "unknown_origin", "pages of this origin may not call the service: OPORA_CORS_ORIGINS lists those that may"
)
