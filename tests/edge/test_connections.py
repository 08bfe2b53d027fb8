"""P31 on real sockets: no sender, however large or slow, holds a connection or fills the memory."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from edge import patience
from edge.errors import install_error_handlers
from edge.limits import BodyLimit
from edge.observation import Observed
from edge.patience import PatientProtocol, answer_with

LIMIT = 1 << 20


def application() -> FastAPI:
    app = FastAPI()
    install_error_handlers(app)

    @app.post("/size")
    async def size(request: Request) -> int:
        return len(await request.body())

    return app


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(patience, "_HEAD_SECONDS", 0.5)
        guarded = Observed(BodyLimit(application(), LIMIT, {"/upload": 64 << 20}, grace_seconds=0.5))
        server = uvicorn.Server(uvicorn.Config(guarded, port=0, http=PatientProtocol, log_config=None, timeout_keep_alive=1))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
        server.should_exit = True
        thread.join()


def test_what_is_put_in_front_answers_in_place_of_the_server_and_knows_who_calls_through_a_proxy(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(scope["client"][0])(scope, receive, send)

    monkeypatch.setattr(PatientProtocol, "front", None)
    answer_with(front)
    url = f"http://127.0.0.1:{port}/size"
    assert httpx.get(url).text == "127.0.0.1"
    assert httpx.get(url, headers={"X-Forwarded-For": "203.0.113.9"}).text == "203.0.113.9"


def until_closed(connection: socket.socket, seconds: float = 5) -> bytes:
    """What the server says until it hangs up; fails when it does not."""
    connection.settimeout(seconds)
    said = b""
    while part := connection.recv(65536):
        said += part
    return said


def status_and_code(said: bytes) -> tuple[int, str]:
    head, _, body = said.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body)["error"]["code"]


def seconds_until_refused(connection: socket.socket, drop: bytes) -> float:
    """How long drops can be sent, twenty a second; ten seconds when nobody objects."""
    started = time.monotonic()
    with contextlib.suppress(OSError):
        while time.monotonic() - started < 10:
            connection.sendall(drop)
            time.sleep(0.05)
    return time.monotonic() - started


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5)


@pytest.mark.parametrize("sent", [b"", b"POST /size HTT", b"POST /size HTTP/1.1\r\nHost: x\r\nX-A: "])
def test_p31_a_head_that_does_not_come_is_not_waited_for(port: int, sent: bytes) -> None:
    with connected(port) as connection:
        connection.sendall(sent)
        assert status_and_code(until_closed(connection)) == (408, "head_too_slow")


def test_p31_a_head_that_comes_drop_by_drop_is_not_waited_for(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        assert seconds_until_refused(connection, b"X-A: 1\r\n") < 3


def test_p31_a_second_request_on_a_connection_has_to_come_in_time_too(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert b"200 OK" in connection.recv(65536)
        connection.sendall(b"POST /size HTTP/1.1\r\nX-A")
        assert status_and_code(until_closed(connection)) == (408, "head_too_slow")


def test_p31_a_head_without_end_is_refused(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX-A: " + b"a" * 65_600)
        assert status_and_code(until_closed(connection)) == (431, "head_too_large")


def test_p31_a_body_that_stops_is_refused_and_the_connection_closed(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        assert status_and_code(until_closed(connection)) == (408, "body_too_slow")


def test_p31_a_body_that_comes_drop_by_drop_is_refused(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        assert seconds_until_refused(connection, b"a") < 5


def test_a_slow_but_steady_body_is_read(port: int) -> None:
    def steadily() -> Iterator[bytes]:
        for _ in range(10):
            yield b"a" * (16 << 10)
            time.sleep(0.1)

    answer = httpx.post(f"http://127.0.0.1:{port}/size", content=steadily())
    assert answer.json() == 160 << 10


@pytest.mark.parametrize("chunked", [False, True])
def test_p31_a_body_above_the_limit_gets_its_413_whole_though_the_sender_goes_on(port: int, chunked: bool) -> None:
    part = b" " * 65536
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % (128 * len(part))
    with connected(port) as connection:
        connection.sendall(b"POST /size HTTP/1.1\r\nHost: x\r\n" + length + b"\r\n\r\n")
        for _ in range(128):
            connection.sendall(b"10000\r\n" + part + b"\r\n" if chunked else part)
        connection.sendall(b"0\r\n\r\n" if chunked else b"")
        assert status_and_code(until_closed(connection)) == (413, "body_too_large")


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\x01", b"HELLO\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"])
def test_what_is_not_http_is_refused_in_the_one_shape(port: int, sent: bytes) -> None:
    with connected(port) as connection:
        connection.sendall(sent)
        assert status_and_code(until_closed(connection)) == (400, "bad_request")
