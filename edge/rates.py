"""How often one caller may ask: a bucket of requests for each key, refilled at a steady rate."""

import asyncio
import math
import random
import time
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

from edge.errors import RequestRefused
from edge.scopes import OPEN_PATHS

_MOST_CALLERS = 10_000
_HELD_SECONDS = (0.05, 0.15)


class Buckets:
    """How much each caller may still send; of more than `most_callers` the one that has been silent longest is forgotten.

    Args:
        per_second: requests a second that go on for ever.
        burst: requests that may come at once.
        most_callers: how many buckets are kept, so that memory stays bounded.
    """

    def __init__(self, per_second: float, burst: int, most_callers: int = _MOST_CALLERS) -> None:
        self.per_second = per_second
        self._burst = float(burst)
        self._most_callers = most_callers
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def wait(self, caller: str) -> float:
        """Seconds until `caller` may ask again; 0 = now, and one request is taken from the bucket."""
        at = time.monotonic()
        left, since = self._left.pop(caller, (self._burst, at))
        left = min(self._burst, left + (at - since) * self.per_second)
        allowed = left >= 1
        self._left[caller] = (left - 1 if allowed else left, at)
        if len(self._left) > self._most_callers:
            self._left.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self.per_second


class RateLimit:
    """ASGI middleware: 429 with Retry-After once a caller's bucket is empty, told after `hold`; probes and documentation
    are never limited.

    A caller is whom `scope["state"]["caller"]` names, or else the address (of IPv6 its /64 network). Every process counts alone.
    """

    def __init__(self, app: ASGIApp, buckets: Buckets) -> None:
        self._app = app
        self._buckets = buckets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self.refusal(scope) if scope["type"] == "http" and scope["path"] not in OPEN_PATHS else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await hold()
            await refusal.response()(scope, receive, send)

    def refusal(self, scope: Scope) -> RequestRefused | None:
        """Take a request from the caller's bucket; what the caller is told when it is empty."""
        wait = self._buckets.wait(_caller(scope))
        return too_many(self._buckets, wait) if wait else None


async def hold() -> None:
    """Let whoever is told 429 wait for it: who asks again at once is as slow as its connections, and leaves others the processor.

    A held refusal costs a timer, and its connection is open anyway. Times differ, so that the connections of one caller do not
    come back all at once, to take what its bucket has gained meanwhile in one burst.
    """
    await asyncio.sleep(random.uniform(*_HELD_SECONDS))  # noqa: S311 - nothing secret


def too_many(buckets: Buckets, wait: float) -> RequestRefused:
    """What a caller is told whose bucket is empty for another `wait` seconds."""
    message = f"this caller may send {buckets.per_second:g} requests a second: wait as long as Retry-After says"
    return RequestRefused(429, "too_many_requests", message, headers={"Retry-After": str(math.ceil(wait))})


def _caller(scope: Scope) -> str:
    caller = scope.get("state", {}).get("caller")
    return address_of(scope) if caller is None else f"key {caller}"


def address_of(scope: Scope) -> str:
    """Where a request comes from: an IPv4 address, an IPv6 network, or this machine."""
    client = scope.get("client")
    if client is None:
        return "local"
    try:
        address = ip_address(client[0])
    except ValueError:
        return "local"
    return f"net {int(address) >> 64:x}" if isinstance(address, IPv6Address) else client[0]
