"""Load from a second process: wrk as fast as connections allow, and an open loop at a fixed rate."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CONNECTIONS = 8
_SAME_BODY = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "{media_type}"
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
file:close()
"""
_ONE_AFTER_THE_OTHER = """
local requests, position = {{}}, 0
local file = io.open("{requests}", "rb")
for each in (file:read("*a")):gmatch("[^%z]+") do requests[#requests + 1] = each end
file:close()
request = function()
  position = position % #requests + 1
  return requests[position]
end
"""
_FIGURES = """
done = function(summary, latency, requests)
  local bad = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format("FOUND %f %f %f %d\\n",
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, bad))
end
"""


@dataclass(frozen=True)
class Load:
    """Requests a second, latencies in milliseconds, and answers that were no 2xx."""

    rate: float
    p50: float
    p99: float
    failed: int


def wrk(url: str, body: Path, media_type: str, seconds: int) -> Load:
    """Post `body` over eight connections for so many seconds.

    Raises:
        SystemExit: wrk is not installed.
    """
    return _run(url, _SAME_BODY.format(media_type=media_type, body=body), seconds)


def replayed(port: int, requests: Path, seconds: int) -> Load:
    """Send the raw HTTP requests of a file, which zero bytes separate, one after the other over eight connections.

    Raises:
        SystemExit: wrk is not installed.
    """
    return _run(f"http://127.0.0.1:{port}/", _ONE_AFTER_THE_OTHER.format(requests=requests), seconds)


def raw(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """A request as it goes over the line; underscores in the names of headers stand for dashes."""
    known = {"Host": f"127.0.0.1:{port}"} | (
        {"Content-Type": "application/json", "Content-Length": str(len(body))} if body else {}
    )
    lines = [f"{method} {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in (known | headers).items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def offered(port: int, request: bytes, rate: int, seconds: float) -> Load:
    """Offer `rate` raw requests a second whatever the answers do; latencies count from when a request was due."""
    code = f"from bench.serving_load import _offer; _offer({port}, {request!r}, {rate}, {seconds})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ).stdout
    taken, p50, p99, failed = said.split()
    return Load(float(taken), float(p50), float(p99), int(failed))


def _run(url: str, script: str, seconds: int) -> Load:
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: apt-get install wrk")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script + _FIGURES)
        file.flush()
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", "-s", file.name, url]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    figures = next(line.split()[1:] for line in said.splitlines() if line.startswith("FOUND"))
    return Load(float(figures[0]), float(figures[1]), float(figures[2]), int(figures[3]))


def _offer(port: int, request: bytes, rate: int, seconds: float) -> None:
    print(*asyncio.run(_open_loop(port, request, rate, seconds)))


async def _open_loop(port: int, request: bytes, rate: int, seconds: float) -> tuple[float, float, float, int]:
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(64):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    latencies: list[float] = []
    failed = 0

    async def one(due: float) -> None:
        nonlocal failed
        reader, writer = await free.get()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)
        latencies.append(time.perf_counter() - due)
        failed += not head.startswith(b"HTTP/1.1 200")
        free.put_nowait((reader, writer))

    begun = time.perf_counter()
    tasks = []
    for index in range(int(rate * seconds)):
        due = begun + index / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    p50, p99 = np.percentile(np.array(latencies) * 1000, [50, 99])
    return len(latencies) / (time.perf_counter() - begun), float(p50), float(p99), failed
