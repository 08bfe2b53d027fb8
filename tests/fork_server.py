"""Processes to start and kill by the dozen: forked from one that has made the imports, which cost seconds of a processor."""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[1]
_LONGEST = 1 << 17


class Forked:
    """A process of a `ForkServer`, with pipes to its streams."""

    def __init__(self, server: "ForkServer", pid: int, pipes: tuple[int, int, int]) -> None:
        self._server, self.pid = server, pid
        self.stdin = os.fdopen(pipes[0], "w", encoding="utf-8")
        self.stdout, self.stderr = (os.fdopen(pipe, encoding="utf-8") for pipe in pipes[1:])
        self.returncode: int | None = None

    def kill(self) -> None:
        """Send SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """The exit status once it has ended, as `subprocess` has it."""
        if self.returncode is None:
            self.returncode = self._server.ask({"wait": self.pid})
        return self.returncode

    def communicate(self) -> tuple[str, str]:
        """What it still writes until it ends; a test's errors do not fill a pipe."""
        with self.stdin, self.stdout, self.stderr:
            self.stdin.close()
            written = self.stdout.read(), self.stderr.read()
        self.wait()
        return written


class ForkServer:
    """A process that has imported `modules`, and opened nothing; it ends with the block."""

    def __init__(self, *modules: str) -> None:
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fork_server", str(theirs.fileno()), *modules],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()
        self._process.wait()

    def python(self, code: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Forked:
        """Run `code` with `sys.argv[1:]` and the changes of the environment in a process of its own."""
        pipes = [os.pipe() for _ in range(3)]
        theirs, ours = [pipes[0][0], pipes[1][1], pipes[2][1]], (pipes[0][1], pipes[1][0], pipes[2][0])
        pid = self.ask({"code": code, "arguments": arguments, "environment": environment or {}}, theirs)
        for one in theirs:
            os.close(one)
        return Forked(self, pid, ours)

    def ask(self, question: Mapping[str, Any], files: list[int] | None = None) -> int:
        """One question, one number."""
        socket.send_fds(self._connection, [json.dumps(question).encode()], files or [])
        answer = self._connection.recv(_LONGEST)
        if not answer:
            raise ChildProcessError(f"the fork server has ended with status {self._process.wait()}")
        return int(answer)


def _serve(connection: socket.socket) -> dict[str, Any] | None:
    """Fork and wait as asked, to the end of the connection; in a forked process: what it has to do."""
    while True:
        message, files, _, _ = socket.recv_fds(connection, _LONGEST, 3)
        if not message:
            return None
        asked: dict[str, Any] = json.loads(message)
        if "wait" in asked:
            answer = os.waitstatus_to_exitcode(os.waitpid(asked["wait"], 0)[1])
        else:
            answer = os.fork()
            if not answer:
                for number, file in enumerate(files):
                    os.dup2(file, number)
        for file in files:
            os.close(file)
        if not answer and "code" in asked:
            return asked
        connection.send(str(answer).encode())


def _do(task: dict[str, Any]) -> None:
    """Run the code, wait for its threads, and end without the interpreter's tidying up, which copies all that is shared."""
    os.environ.update(task["environment"])
    sys.argv = ["-c", *task["arguments"]]
    status = 1
    try:
        exec(compile(task["code"], "<forked>", "exec"), {"__name__": "__main__"})
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
        status = 0
    except Exception:  # noqa: BLE001 - told as an interpreter tells it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def _main() -> None:
    for module in sys.argv[2:]:
        __import__(module)
    gc.freeze()
    connection = socket.socket(fileno=int(sys.argv[1]))
    task = _serve(connection)
    connection.close()
    if task is not None:
        _do(task)


if __name__ == "__main__":
    _main()
