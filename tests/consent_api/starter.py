"""Starts consent services in a fraction of the time: everything is imported once, and each service is forked from there.

    python -m tests.consent_api.starter

Reads a line of JSON for each service ({"environment", "port", "log"}) and prints the id of its process, which leads a group of
its own and is otherwise what `python -m consent_api` would be.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from settings import PROJECT, settings


class Starter:
    """The process that is forked, and how to ask it for another one."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.consent_api.starter"]
        environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdin=pipe, stdout=pipe, text=True)

    def start(self, environment: dict[str, str], port: int, log: Path) -> int:
        """The id of a new service's process; it is not ready yet."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"environment": environment, "port": port, "log": str(log)}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """Start no more."""
        self._process.communicate()


def serve(wanted: dict[str, Any]) -> None:
    """Become the service."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    output = os.open(wanted["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ |= wanted["environment"]
    settings.cache_clear()
    sys.argv = ["consent_api", "--port", str(wanted["port"])]
    from consent_api.__main__ import main

    os._exit(main())


if __name__ == "__main__":
    import consent_api.app

    del sys.modules["consent_api.app"], consent_api.app  # which is made anew for the environment of each service
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    for line in sys.stdin:
        child = os.fork()
        if not child:
            serve(json.loads(line))
        print(child, flush=True)
