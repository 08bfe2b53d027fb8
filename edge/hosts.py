"""Under which names a service may be addressed: a web page that points its own name at us gets nowhere."""

from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from edge.errors import RequestRefused

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_UNSPECIFIED = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, never bound to


class HostCheck:
    """ASGI middleware: 400 unless the Host header is one of loopback's names, `host` or one of `further` (with any port)."""

    def __init__(self, app: ASGIApp, host: str, further: Iterable[str] = ()) -> None:
        self._app = app
        names = [*_LOOPBACK, *further, *([] if host in _UNSPECIFIED else [host])]
        self._allowed = frozenset(_bracketed(name.lower()).encode("ascii", "replace") for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self.admits(scope):
            await _UNKNOWN.response()(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def admits(self, scope: Scope) -> bool:
        """Whether the request is addressed to one of the names."""
        given = [value for name, value in scope["headers"] if name == b"host"]
        return len(given) == 1 and _name(given[0]) in self._allowed


def _name(host: bytes) -> bytes:
    end = host.find(b"]") + 1 if host.startswith(b"[") else host.find(b":")
    name, port = (host, b"") if end <= 0 else (host[:end], host[end:])
    valid = port == b"" or (port[:1] == b":" and port[1:].isdigit())
    return name.lower().removesuffix(b".") if valid else b""


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name and not name.startswith("[") else name


_UNKNOWN = RequestRefused(
    400, "unknown_host", "this service is not known under the name in the Host header: OPORA_ALLOWED_HOSTS lists further names"
)
