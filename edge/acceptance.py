"""How the workers of a service share its connections: they listen on one socket, and whoever has fewer takes the next.

An event loop takes all connections that wait at once, so that of two workers often one serves every caller and the other none.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Collection
from typing import Any

import uvicorn.config
import uvloop

_PAUSE = 0.001  # seconds before a connection is taken, for each that is open already
_LONGEST_PAUSE = 0.004
_OPEN_FOR_ONE_MORE = 4  # of so many open connections another one is taken along, or a crowd would wait


class SharingLoop(uvloop.Loop):
    """uvloop's event loop whose servers on a socket that they were given leave connections to their brothers."""

    async def create_server(self, protocol_factory: Callable[[], asyncio.BaseProtocol], *arguments: Any, **named: Any) -> Any:
        """A server as uvloop makes it, or a `Door` where it is told the socket and not to encrypt."""
        listener = named.get("sock")
        if listener is None or named.get("ssl") is not None:
            return await super().create_server(protocol_factory, *arguments, **named)
        return Door(self, protocol_factory, listener, named.get("backlog", 100))


class Door:
    """Takes connections of a listening socket that other processes take them of as well.

    Args:
        loop: serves them.
        protocol_factory: makes uvicorn's protocol of a connection, which knows all that are open (`connections`).
        listener: the socket.
        backlog: how many connections wait in the kernel at most.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        listener: socket.socket,
        backlog: int,
    ) -> None:
        self._loop = loop
        self._factory = protocol_factory
        self._listener = listener
        self._open: Collection[object] = ()
        self._starting: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._closed = False
        listener.setblocking(False)
        listener.listen(backlog)
        loop.add_reader(listener, self._knocked)

    def close(self) -> None:
        """Take no more connections."""
        self._closed = True
        if self._pause is None:
            self._loop.remove_reader(self._listener)
        else:
            self._pause.cancel()

    async def wait_closed(self) -> None:
        """Return when every connection that was taken is in the hands of its protocol."""
        await asyncio.gather(*self._starting)

    def _knocked(self) -> None:
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(min(len(self._open) * _PAUSE, _LONGEST_PAUSE), self._take)

    def _take(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._knocked)
        for _ in range(1 + len(self._open) // _OPEN_FOR_ONE_MORE):
            try:
                connection, _address = self._listener.accept()
            except OSError:  # another worker was quicker, the caller left, or too many files are open: it knocks again
                return
            task = self._loop.create_task(self._serve(connection))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    async def _serve(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        protocol: Any
        _transport, protocol = await self._loop.connect_accepted_socket(self._factory, connection)
        self._open = getattr(protocol, "connections", ())
        if self._closed:  # the server has told the connections it knew to end, and was not to know this one
            protocol.shutdown()


def share_connections() -> None:
    """Let every uvicorn server that this process starts from now on run on a `SharingLoop`."""
    uvicorn.config.LOOP_FACTORIES["auto"] = f"{__name__}:sharing"


def sharing(use_subprocess: bool = False) -> Callable[[], asyncio.AbstractEventLoop]:  # noqa: ARG001 - uvicorn's signature
    """What uvicorn makes event loops by."""
    return SharingLoop
