"""A short way for the one kind of request that comes thousands of times a second: all it has to pass is asked in one place.

Passing seven middlewares, a router and a framework costs several times what scoring a payment costs. A plain request, one of
which every guard approves, goes past them; whatever is unusual about any other takes the long way and is judged, refused or
served there. So no rule is written twice: the lane asks the guards themselves.
"""

import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.errors import RequestRefused
from edge.observation import identify, keep, unexpected
from edge.rates import hold

Endpoint = Callable[[bytes], Awaitable[bytes]]
"""From a JSON body to a JSON answer; raises RequestRefused."""
_USUAL = frozenset({b"host", b"content-type", b"content-length", b"user-agent", b"accept", b"accept-encoding", b"connection"}) | {
    b"x-api-key",
    b"x-request-id",
    b"accept-language",
    b"traceparent",
    b"tracestate",
}
"""Headers that ask for nothing, or for what the guards see to. Origin, Expect, encodings of the body, … take the long way."""
_JSON = frozenset({b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8"})


class Guard(Protocol):
    """Something a request has to pass, asked without being the one who answers."""

    def admits(self, scope: Scope) -> bool:
        """Whether the request may pass; asking twice must do no harm."""


Toll = Callable[[Scope], RequestRefused | None]
"""The guard whose asking costs the caller something, so that it is asked once the request is sure to be answered here."""


class Lane:
    """ASGI application in front of `app`: plain POST requests to some addresses go straight to their endpoints.

    Args:
        app: the long way, with every middleware.
        endpoints: what answers at which address; `app` answers there as well.
        guards: what `app` asks of every request before its body is read.
        toll: the rate limit, where there is one.
        limit: largest body in bytes that is read here.
    """

    def __init__(
        self, app: ASGIApp, endpoints: Mapping[str, Endpoint], guards: Sequence[Guard], toll: Toll | None, limit: int
    ) -> None:
        self._app = app
        self._endpoints = dict(endpoints)
        self._guards = tuple(guards)
        self._toll = toll
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get(scope["path"]) if scope["type"] == "http" else None
        if endpoint is None or not self._admits(scope):
            await self._app(scope, receive, send)
            return
        message = _without_waiting(receive)
        if message is None:
            await self._app(scope, receive, send)
        elif message["type"] != "http.request" or message.get("more_body", False):
            await self._app(scope, _again(message, receive), send)
        else:
            await self._answer(scope, endpoint, message.get("body", b""), send)

    def _admits(self, scope: Scope) -> bool:
        return (
            scope["method"] == "POST"
            and _is_plain(scope["headers"], self._limit)
            and all(guard.admits(scope) for guard in self._guards)
        )

    async def _answer(self, scope: Scope, endpoint: Endpoint, body: bytes, send: Send) -> None:
        started = time.perf_counter()
        request_id = identify(scope)
        status, headers, answer = await self._judged(scope, endpoint, body)
        headers.append((b"x-request-id", request_id.encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})
        keep(scope, scope["path"], status, time.perf_counter() - started)

    async def _judged(self, scope: Scope, endpoint: Endpoint, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, headers and body of the answer."""
        try:
            refusal = self._toll(scope) if self._toll else None
            if refusal is None:
                answer = await endpoint(body)
                return 200, [_TYPE, (b"content-length", b"%d" % len(answer))], answer
            await hold()
        except RequestRefused as error:
            refusal = error
        except Exception as error:  # noqa: BLE001 - as on the long way: the caller gets the one error shape and the log the place
            refusal = unexpected(scope, error)
        response = refusal.response()
        return refusal.status, response.raw_headers, bytes(response.body)


_TYPE = (b"content-type", b"application/json")


def _is_plain(headers: Sequence[tuple[bytes, bytes]], limit: int) -> bool:
    given = dict(headers)
    length = given.get(b"content-length", b"")
    return (
        len(given) == len(headers)
        and given.keys() <= _USUAL
        and given.get(b"content-type") in _JSON
        and length.isdigit()
        and len(length) < 10
        and int(length) <= limit
    )


def _without_waiting(receive: Receive) -> Message | None:
    """What `receive` gives at once: the whole of a small body; None when it would have to wait, and then nothing is lost.

    Waiting for a caller who sends slowly takes a time limit, which costs more than all else here.
    """
    receiving = cast(Coroutine[Any, None, Message], receive())  # what ASGI servers give
    try:
        receiving.send(None)
    except StopIteration as arrived:
        return cast(Message, arrived.value)
    receiving.close()
    return None


def _again(message: Message, receive: Receive) -> Receive:
    """`receive` that gives `message` once more before all else."""
    messages = [message]

    async def received() -> Message:
        return messages.pop() if messages else await receive()

    return received
