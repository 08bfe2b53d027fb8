"""A scoring service of the scenario as a process of its own, spoken to over HTTP."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from settings import PROJECT

SERVICES = {"fraud": "bentos.fraud.service:FraudService", "income": "bentos.income.service:IncomeService"}
Tell = Callable[[datetime], None]
"""Sets the clock of the bank."""
_PR_SET_PDEATHSIG = 1
_START_SECONDS = 180.0
_SWAP_SECONDS = 90.0
_GATHERED_SECONDS = 2.0
"""Rows wait for the challenger for one second at most."""


class ServiceFailed(Exception):
    """The service did not start, or answered what it must not; its log says more."""


class Service:
    """The BentoML service of a use case on a free port of this machine; a context manager that ends it, come what may."""

    def __init__(self, use_case: str, folder: Path, port: int | None = None) -> None:
        self.port = port or _free_port()
        self.log = folder / f"{use_case}.log"
        self._use_case = use_case
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=120)

    def __enter__(self) -> "Service":
        target = SERVICES[self._use_case]
        command = [sys.executable, "-m", "bentoml", "serve", target, "--host", "127.0.0.1", "--port", str(self.port)]
        with self.log.open("a") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                command, cwd=PROJECT, stdout=log, stderr=log, start_new_session=True, preexec_fn=_end_with_parent
            )
        self._until("/readyz", lambda answer: answer.status_code == 200, _START_SECONDS)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()
        for end in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                os.killpg(self._process.pid, end)
                try:
                    self._process.wait(20)
                except subprocess.TimeoutExpired:
                    continue

    def post(self, path: str, body: Any) -> Any:
        """The JSON that the service answers.

        Raises:
            ServiceFailed: it answered something else.
        """
        answer = self._http.post(path, json=body)
        if answer.status_code != 200:
            raise ServiceFailed(f"{path} answered {answer.status_code}: {answer.text[:500]}; see {self.log}")
        return answer.json()

    def wait_for_version(self, version: str) -> None:
        """Wait until the service has taken over the version that is champion, as it does by itself."""
        self._until("/model", lambda answer: answer.status_code == 200 and answer.json()["version"] == version, _SWAP_SECONDS)

    def wait_for_challenger(self, version: str) -> None:
        """Wait until the version scores in shadow: a day of the bank may be over sooner than a process has started."""
        seen = f'opora_shadow_model_info{{use_case="{self._use_case}",version="{version}"}} 1.0'
        self._until("/metrics", lambda answer: answer.status_code == 200 and seen in answer.text, _SWAP_SECONDS)

    def wait_for_shadow(self) -> None:
        """Wait until the challenger, where there is one, has scored what it was given: a real day is longer than that takes."""
        before = None
        while (counted := self._shadowed()) != before:
            before = counted
            time.sleep(_GATHERED_SECONDS)

    def _shadowed(self) -> list[str] | None:
        """What has become so far of the rows that a challenger was given; None while none is in shadow."""
        lines = self._http.get("/metrics").text.splitlines()
        if not any(line.startswith("opora_shadow_model_info") and line.endswith(" 1.0") for line in lines):
            return None
        return [line for line in lines if line.startswith("opora_shadow_rows_total")]

    def _until(self, path: str, holds: Any, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                if holds(self._http.get(path)):
                    return
            except httpx.TransportError:
                pass  # not listening yet
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServiceFailed(f"the service did not come as far as {path} asks for: see {self.log}")
            time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end_with_parent() -> None:
    """Have the kernel end the service when this process dies, however it dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
