"""X-API-Key: who may call a service, and where a service without keys may listen."""

import hmac
from collections.abc import Iterable
from hashlib import sha256
from ipaddress import ip_address

from fastapi.security import APIKeyHeader
from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from edge.errors import RequestRefused

HEADER = b"x-api-key"
API_KEY_SCHEME = APIKeyHeader(name="X-API-Key", auto_error=False, description="Needed when the service has keys configured.")
"""Declares the header in the OpenAPI page; `KeyGuard` is what checks it, before a body is read."""

OPEN_PATHS = frozenset({"/", "/docs", "/openapi.json", "/livez", "/healthz", "/readyz", "/metrics"})
"""Answered without a key: probes, metrics and documentation, which hold no client data."""


class ConfigurationError(Exception):
    """The settings contradict each other or would open the service to strangers; the message says what to set."""


def check_binding(host: str, keys: Iterable[SecretStr]) -> None:
    """Refuse to start in a way that strangers could call.

    Raises:
        ConfigurationError: no keys and `host` is beyond loopback, or a key is empty.
    """
    configured = [key.get_secret_value() for key in keys]
    if any(not key.strip() for key in configured):
        raise ConfigurationError("OPORA_API_KEYS holds an empty key, which anybody could send: remove or replace it")
    if not configured and not is_loopback(host):
        raise ConfigurationError(
            f"the service would listen on {host} without asking for keys: "
            "set OPORA_API_KEYS='[\"<random key>\"]' (openssl rand -hex 32), or OPORA_HOST=127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host` (an address, or `localhost`)."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class KeyGuard:
    """ASGI middleware: 401 without one of `keys`, compared in constant time; `OPEN_PATHS` need none.

    Several keys are valid at once, so that a new one is handed out before the old one is withdrawn. With no keys configured only
    connections that arrived at a loopback address are served, whatever the process was told to bind to.
    """

    def __init__(self, app: ASGIApp, keys: Iterable[SecretStr]) -> None:
        self._app = app
        self._digests = tuple(_digest(key.get_secret_value().encode()) for key in keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" and scope["path"] not in OPEN_PATHS else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await refusal.response()(scope, receive, send)

    def _refusal(self, scope: Scope) -> RequestRefused | None:
        if not self._digests:
            return None if _arrived_locally(scope) else _NO_KEYS
        given = next((value for name, value in scope["headers"] if name == HEADER), b"")
        return None if self._knows(given) else _WRONG_KEY

    def _knows(self, given: bytes) -> bool:
        digest = _digest(given)
        matches = [hmac.compare_digest(digest, known) for known in self._digests]  # every key, so that time tells nothing
        return any(matches)


def _arrived_locally(scope: Scope) -> bool:
    server = scope.get("server")
    try:
        return server is None or ip_address(server[0]).is_loopback
    except ValueError:  # a Unix socket, or a server that gives names
        return True


def _digest(key: bytes) -> bytes:
    return sha256(key).digest()


_WRONG_KEY = RequestRefused(
    401, "unauthorized", "send one of the configured keys in the header X-API-Key", headers={"WWW-Authenticate": "X-API-Key"}
)
_NO_KEYS = RequestRefused(
    403, "no_keys_configured", "this service has no API keys and answers on loopback only: set OPORA_API_KEYS to open it"
)
