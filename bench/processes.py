"""A service under measurement as a process group of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from settings import PROJECT

Served = AbstractContextManager[tuple[int, int, float]]
_PROBES = 20  # in a row, each over a connection of its own: with several workers the first to be ready is not all


@contextmanager
def served(command: list[str], folder: Path, ready_path: str = "/readyz", **environment: str) -> Iterator[tuple[int, int, float]]:
    """A service as a process group of its own; gives its port, its process id and the seconds until it was ready."""
    port = _free_port()
    fixed = {"OPORA_VAR": str(folder / "var"), "PYTHONPATH": str(PROJECT)}
    started = time.perf_counter()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            env=os.environ | fixed | environment,
            cwd=PROJECT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        ready = _wait(f"http://127.0.0.1:{port}{ready_path}", process, folder / "log")
        yield port, process.pid, ready - started
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> float:
    """The moment from which `url` answered at all (a rival's path) or with 200 (a probe), whichever worker was asked."""
    deadline = time.monotonic() + 60
    ready: list[float] = []
    while time.monotonic() < deadline and process.poll() is None:
        try:
            answers = httpx.get(url, timeout=5).status_code in (200, 405)
        except httpx.HTTPError:
            answers = False
        ready = [*ready, time.perf_counter()] if answers else []
        if len(ready) == _PROBES:
            return ready[0]
        time.sleep(0.02)
    sys.exit(f"{url} never answered:\n{log.read_text()}")


def megabytes(process: int) -> float:
    """Resident memory of the largest process below `process`: the worker."""
    family = [psutil.Process(process), *psutil.Process(process).children(recursive=True)]
    return float(max(member.memory_info().rss for member in family) / 2**20)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
