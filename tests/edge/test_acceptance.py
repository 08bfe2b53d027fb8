"""Workers that listen on one socket share its connections evenly, on real sockets."""

import asyncio
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
from uvicorn.server import ServerState

from edge.acceptance import SharingLoop, share_connections
from edge.patience import PatientProtocol

CROWDS = 4
"""On a machine with other work to do one worker may have no processor while a whole crowd comes."""
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def saying(name: str) -> uvicorn.Config:
    """A server that answers everything with `name`."""

    async def said(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(name)(scope, receive, send)

    return uvicorn.Config(said, http=PatientProtocol, log_config=None, lifespan="off")


@contextmanager
def worker(name: str, listener: socket.socket) -> Iterator[uvicorn.Server]:
    """A server that answers with its name, on the listener of others."""
    server = uvicorn.Server(saying(name))
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
    """The name of who answers; nothing when the connection is closed instead."""
    connection.sendall(REQUEST)
    said = b""
    while not said.partition(b"\r\n\r\n")[2] and (part := connection.recv(4096)):
        said += part
    return said.rpartition(b"\r\n")[2]


@pytest.mark.parametrize("callers", [8, 60])
def test_connections_that_come_together_are_shared(address: tuple[str, int], callers: int) -> None:
    names = []
    for _crowd in range(CROWDS):
        with ExitStack() as stack:
            connections = [stack.enter_context(socket.create_connection(address, timeout=10)) for _ in range(callers)]
            names += [asked(connection) for connection in connections]
    assert min(names.count(b"one"), names.count(b"two")) >= len(names) // 8
    assert names.count(b"one") + names.count(b"two") == callers * CROWDS


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


def test_a_connection_that_is_taken_while_its_worker_ends_does_not_keep_it() -> None:
    async def end_while_taking(listener: socket.socket, caller: socket.socket) -> bytes:
        config, state = saying("too late"), ServerState()
        config.load()
        door = await asyncio.get_running_loop().create_server(lambda: PatientProtocol(config, state, {}), sock=listener)
        while not door._starting:
            await asyncio.sleep(0)
        door.close()
        for connection in list(state.connections):  # as uvicorn does, once
            connection.shutdown()
        await door.wait_closed()
        return await asyncio.to_thread(asked, caller)

    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), 10) as caller,
        asyncio.Runner(loop_factory=SharingLoop) as runner,
    ):
        assert runner.run(end_while_taking(listener, caller)) == b""
