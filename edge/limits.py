"""The largest body a service reads, whether its length is announced or it comes in chunks."""

import contextlib

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.errors import RequestRefused


class _TooLarge(Exception):
    """Ends the reading of a body inside the application; never leaves `BodyLimit`."""


class BodyLimit:
    """ASGI middleware that answers 413 to a body above `limit` bytes and reads no more of it than that."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if not (announced.isascii() and announced.isdigit()):
            refusal = RequestRefused(400, "bad_request", "Content-Length has to be a whole number")
            await refusal.response()(scope, receive, send)
        elif len(announced) > 18 or int(announced) > self._limit:  # 19 digits and more: never converted
            await self._refuse(scope, receive, send)
        else:
            await _Reading(self._limit, receive, send).run(self._app, scope, self._refuse)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = f"the body is larger than the limit of {self._limit} bytes: send less at once"
        refusal = RequestRefused(413, "body_too_large", message, headers={"Connection": "close"})
        await refusal.response()(scope, receive, send)


class _Reading:
    """One request whose chunks are counted; whatever the application says to a body cut short is replaced by 413."""

    def __init__(self, limit: int, receive: Receive, send: Send) -> None:
        self._left = limit
        self._receive = receive
        self._send = send
        self._started = False

    async def run(self, app: ASGIApp, scope: Scope, refuse: ASGIApp) -> None:
        with contextlib.suppress(_TooLarge):
            await app(scope, self._counted, self._unless_cut)
        if self._left < 0 and not self._started:
            await refuse(scope, self._receive, self._send)

    async def _counted(self) -> Message:
        if self._left < 0:
            raise _TooLarge
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise _TooLarge
        return message

    async def _unless_cut(self, message: Message) -> None:
        if self._left < 0 and not self._started:
            return
        self._started = True
        await self._send(message)
