"""How much of a body a service reads, and for how long: announced or in chunks, a file or a batch, fast or drop by drop."""

import asyncio
import time
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.errors import RequestRefused

_LEAST_BYTES_PER_SECOND = 16 << 10
_LINGER_SECONDS = 2.0


class _CutShort(Exception):
    """Ends the reading of a body inside the application; never leaves `BodyLimit`."""


class BodyLimit:
    """ASGI middleware: 413 to a body above the limit and 408 to one that trickles in, reading no more than the limit.

    Args:
        app: what reads the bodies.
        limit: largest body in bytes.
        larger: limits of single paths, in bytes.
        grace_seconds: how long any body may take; every 16 KiB that have arrived give another second.
    """

    def __init__(self, app: ASGIApp, limit: int, larger: Mapping[str, int] | None = None, grace_seconds: float = 10.0) -> None:
        self._app = app
        self._limit = limit
        self._larger = dict(larger or {})
        self._grace = grace_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._larger.get(scope["path"], self._limit)
        announced = Headers(scope=scope).get("content-length", "0")
        if not (announced.isascii() and announced.isdigit()):
            refusal = RequestRefused(400, "bad_request", "Content-Length has to be a whole number")
            await refusal.response()(scope, receive, send)
        elif len(announced) > 18 or int(announced) > limit:  # 19 digits and more: never converted
            await _refuse(_too_large(limit), scope, receive, send)
        else:
            await _Reading(limit, self._grace, receive, send).run(self._app, scope)


class _Reading:
    """One request whose chunks are counted and timed; whatever the application says to a body cut short is replaced."""

    def __init__(self, limit: int, grace_seconds: float, receive: Receive, send: Send) -> None:
        self._limit = limit
        self._grace = grace_seconds
        self._receive = receive
        self._send = send
        self._read = 0
        self._since = time.monotonic()
        self._refusal: RequestRefused | None = None
        self._arrived = False
        self._started = False

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._counted, self._unless_cut)
        except Exception:
            if self._refusal is None or self._started:
                raise
        if self._refusal is not None and not self._started:
            if self._arrived:
                await self._refusal.response()(scope, self._receive, self._send)
            else:
                await _refuse(self._refusal, scope, self._receive, self._send)

    async def _counted(self) -> Message:
        if self._refusal is not None:
            raise _CutShort
        if self._arrived:  # what follows is the caller hanging up, which may take as long as it likes
            return await self._receive()
        message = await self._in_time()
        self._read += len(message.get("body", b""))
        self._arrived = not message.get("more_body", False)
        if self._read > self._limit:
            self._refusal = _too_large(self._limit)
            raise _CutShort
        return message

    async def _in_time(self) -> Message:
        allowed = self._grace + self._read / _LEAST_BYTES_PER_SECOND
        try:
            async with asyncio.timeout(self._since + allowed - time.monotonic()):
                return await self._receive()
        except TimeoutError:
            self._refusal = _TOO_SLOW
            raise _CutShort from None

    async def _unless_cut(self, message: Message) -> None:
        if self._refusal is not None and not self._started:
            return
        self._started = True
        await self._send(message)


def _too_large(limit: int) -> RequestRefused:
    message = f"the body is larger than the limit of {limit} bytes: send less at once"
    return RequestRefused(413, "body_too_large", message, headers={"Connection": "close"})


_TOO_SLOW = RequestRefused(
    408, "body_too_slow", "the body did not arrive in time: send the request again, faster", headers={"Connection": "close"}
)


async def _refuse(refusal: RequestRefused, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once, then let go of what is still on its way for a moment: a connection closed at once may lose the answer."""

    async def unfinished(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "more_body": True}
        await send(message)

    await refusal.response()(scope, receive, unfinished)
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while (await receive()).get("more_body", False):
                pass
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b"", "more_body": False})
