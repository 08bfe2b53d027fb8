"""How long a connection may take over the head of a request, and how long that head may be: what no ASGI application sees."""

from __future__ import annotations

import asyncio
import os
from typing import Any, ClassVar

import orjson
import uvicorn.config
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from edge.errors import error_body

_HEAD_SECONDS = 10.0
_LARGEST_HEAD = 64 << 10


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol that closes a connection whose request line and headers do not arrive in time, or never end.

    Attributes:
        front: what answers the requests; None = the application that the server was started with.
    """

    front: ClassVar[ProxyHeadersMiddleware | None] = None
    _timer: asyncio.TimerHandle | None = None
    _in_head = False
    _head_size = 0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if self.front is not None:
            self.app = self.front

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        self._head_size += len(data)
        if self._head_size > _LARGEST_HEAD:
            self._turn_away(431, "head_too_large", f"the headers are larger than {_LARGEST_HEAD} bytes: send fewer")
        elif self._timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        self._in_head, self._head_size = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def send_400_response(self, _msg: str) -> None:
        self._turn_away(400, "bad_request", "this is not HTTP as a server can read it")

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(_HEAD_SECONDS, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._turn_away(408, "head_too_slow", "the headers did not arrive in time: send the request again, faster")

    def _turn_away(self, status: int, code: str, message: str) -> None:
        if self.transport.is_closing():
            return
        body = orjson.dumps(error_body(code, message))
        head = (
            b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body),
            b"connection: close\r\n\r\n",
        )
        self.transport.write(b"".join((STATUS_LINE[status], *head, body)))
        self.transport.close()


def be_patient_within_limits() -> None:
    """Let every uvicorn server that this process starts from now on use `PatientProtocol`."""
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{PatientProtocol.__name__}"


def answer_with(app: ASGIApp) -> None:
    """Let `app` answer every HTTP request of this process from now on, in place of the application that uvicorn was given.

    Callers behind a proxy are known by what it says of them, where it is one of `FORWARDED_ALLOW_IPS`, as under uvicorn.
    """
    trusted = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1")
    PatientProtocol.front = ProxyHeadersMiddleware(app, trusted)  # type: ignore[arg-type]  # uvicorn's own word for the same
