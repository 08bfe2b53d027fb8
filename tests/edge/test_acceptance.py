"""Workers that listen on one socket share its connections evenly, on real sockets."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import uvicorn
import uvicorn.config
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from edge.acceptance import share_connections
from edge.patience import PatientProtocol

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@contextmanager
def worker(name: str, listener: socket.socket) -> Iterator[uvicorn.Server]:
    """A server that answers with its name, on the listener of others."""

    async def said(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(name)(scope, receive, send)

    server = uvicorn.Server(uvicorn.Config(said, http=PatientProtocol, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener.dup()]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server
    server.should_exit = True
    thread.join()


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """Where two workers listen."""
    monkeypatch.setitem(uvicorn.config.LOOP_FACTORIES, "auto", None)
    share_connections()
    with socket.create_server(("127.0.0.1", 0)) as listener, worker("one", listener), worker("two", listener):
        yield listener.getsockname()


def asked(connection: socket.socket) -> bytes:
    connection.sendall(REQUEST)
    return connection.recv(4096).rsplit(b"\r\n", 1)[-1]


@pytest.mark.parametrize("callers", [8, 60])
def test_connections_that_come_together_are_shared(address: tuple[str, int], callers: int) -> None:
    with ExitStack() as stack:
        connections = [stack.enter_context(socket.create_connection(address, timeout=10)) for _ in range(callers)]
        names = [asked(connection) for connection in connections]
    assert min(names.count(b"one"), names.count(b"two")) >= callers // 8
    assert names.count(b"one") + names.count(b"two") == callers


def test_a_connection_stays_with_its_worker_and_may_ask_again(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=10) as connection:
        assert len({asked(connection) for _ in range(5)}) == 1


def test_a_worker_that_ended_leaves_every_connection_to_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(uvicorn.config.LOOP_FACTORIES, "auto", None)
    share_connections()
    with socket.create_server(("127.0.0.1", 0)) as listener, worker("stays", listener):
        with worker("goes", listener):
            pass
        for _ in range(6):
            with socket.create_connection(listener.getsockname(), timeout=10) as connection:
                assert asked(connection) == b"stays"
