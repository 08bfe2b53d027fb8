"""The short way of plain requests: nobody can tell it from the long one, and nothing unusual takes it."""

import asyncio
import json
import time
from typing import Any

import pytest

from edge.errors import RequestRefused
from edge.lane import Lane

USUAL = [(b"host", b"127.0.0.1:3004"), (b"content-type", b"application/json")]
Answer = tuple[int, dict[bytes, bytes], bytes]


class Admitting:
    def __init__(self, admits: bool = True) -> None:
        self._admits = admits

    def admits(self, scope: dict[str, Any]) -> bool:
        return self._admits


async def long_way(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers "long" and the body, which it waits for."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-way", b"long")]})
    await send({"type": "http.response.body", "body": body})


async def double(body: bytes) -> bytes:
    if body == b'"refuse"':
        raise RequestRefused(422, "invalid_request", "amount: is required", "amount", headers={"X-Because": "asked"})
    if body == b'"break"':
        raise ZeroDivisionError("card 4400430012345678")
    return body * 2


def call(
    headers: list[tuple[bytes, bytes]] | None = None,
    *,
    body: tuple[bytes, ...] = (b'"ok"',),
    pause: float = 0.0,
    method: str = "POST",
    path: str = "/score",
    guard: bool = True,
    toll: Any = None,
) -> Answer:
    """One request through a lane with a limit of 100 bytes; a body in several chunks comes with pauses in front of each."""
    chunks, sent = list(body), []
    given = [*USUAL, (b"content-length", b"%d" % sum(map(len, body)))] if headers is None else headers

    async def receive() -> dict[str, Any]:
        if pause:
            await asyncio.sleep(pause)
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    lane = Lane(long_way, {"/score": double}, [Admitting(guard)], toll, 100)
    asyncio.run(lane({"type": "http", "method": method, "path": path, "headers": given}, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(message.get("body", b"") for message in sent[1:])


def test_a_plain_request_goes_straight_to_its_endpoint() -> None:
    status, headers, body = call()
    assert (status, body) == (200, b'"ok""ok"')
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"content-length"] == b"8"
    assert len(headers[b"x-request-id"]) == 32


def test_the_callers_own_request_id_comes_back() -> None:
    given = [*USUAL, (b"content-length", b"4"), (b"x-request-id", b"order-7f3a-0001-b")]
    assert call(given)[1][b"x-request-id"] == b"order-7f3a-0001-b"


@pytest.mark.parametrize(
    "unusual",
    [
        {"method": "PUT"},
        {"path": "/score/"},
        {"guard": False},
        {"headers": USUAL},
        {"headers": [*USUAL, (b"content-length", b"4"), (b"content-length", b"4")]},
        {"headers": [*USUAL, (b"content-length", b"+4")]},
        {"headers": [*USUAL, (b"content-length", b"101")]},
        {"headers": [*USUAL, (b"content-length", b"9" * 30)]},
        {"headers": [*USUAL, (b"content-length", b"4"), (b"origin", b"https://elsewhere.example")]},
        {"headers": [*USUAL, (b"content-length", b"4"), (b"content-encoding", b"gzip")]},
        {"headers": [*USUAL, (b"content-length", b"4"), (b"transfer-encoding", b"chunked")]},
        {"headers": [*USUAL, (b"content-length", b"4"), (b"expect", b"100-continue")]},
        {"headers": [USUAL[0], (b"content-type", b"application/x-python-pickle"), (b"content-length", b"4")]},
        {"headers": [USUAL[0], (b"content-length", b"4")]},
    ],
    ids=str,
)
def test_whatever_is_unusual_takes_the_long_way(unusual: dict[str, Any]) -> None:
    status, headers, body = call(**unusual)
    assert (status, headers[b"x-way"], body) == (200, b"long", b'"ok"')


@pytest.mark.parametrize("pause", [0.0, 0.01])
@pytest.mark.parametrize("body", [(b'"sl', b"ow", b'ly"'), (b'"at once"',)])
def test_a_body_that_is_waited_for_is_lost_on_neither_way(pause: float, body: tuple[bytes, ...]) -> None:
    _, headers, answer = call(body=body, pause=pause)
    whole = b"".join(body)
    took_the_long_way = bool(pause) or len(body) > 1
    assert answer == (whole if took_the_long_way else whole * 2)
    assert (b"x-way" in headers) is took_the_long_way


def test_a_refusal_has_the_one_error_shape_its_headers_and_an_id() -> None:
    status, headers, body = call(body=(b'"refuse"',))
    assert status == 422
    assert json.loads(body) == {"error": {"code": "invalid_request", "message": "amount: is required", "field": "amount"}}
    assert headers[b"x-because"] == b"asked"
    assert headers[b"x-request-id"]


def test_what_nobody_expected_is_a_500_that_tells_nothing() -> None:
    status, _, body = call(body=(b'"break"',))
    assert status == 500
    assert set(json.loads(body)) == {"error"}
    assert b"4400430012345678" not in body


def test_the_toll_is_asked_once_and_its_refusal_is_the_answer_a_moment_later() -> None:
    asked = []

    def toll(scope: dict[str, Any]) -> RequestRefused:
        asked.append(scope["path"])
        return RequestRefused(429, "too_many_requests", "wait", headers={"Retry-After": "1"})

    began = time.monotonic()
    status, headers, _ = call(toll=toll)
    assert (status, headers[b"retry-after"], asked) == (429, b"1", ["/score"])
    assert time.monotonic() - began >= 0.05  # so that who asks again at once is as slow as its connections
