"""A challenger in a process of its own: what it does to its interpreter, its memory or itself, the champion does not notice.

Lines of JSON go both ways over pipes, so nothing is unpickled:

    service → challenger   [[value of each column], …]
    challenger → service   {"columns": […]} once it is ready, then {"scores": [{output: prediction}, …]} for each line,
                           or {"error": kind, "message": text}
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from bentos.serving.metric_files import VARIABLE
from registry.reader import Registered
from settings import PROJECT
from settings.environment import PREFIX

_LOADING_SECONDS, _SCORING_SECONDS = 120.0, 60.0
_PIECE = 1 << 16


class ChallengerRefused(Exception):
    """A version that cannot score in shadow; `kind` is the name of the error that says why.

    Attributes:
        kind: as the metric of failed loads has it.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ChallengerEnded(Exception):
    """The process ended by itself, or did not answer in time and was ended."""


class ScoringFailed(Exception):
    """The challenger could not score these rows and waits for others; the text is the name of its error."""


class Challenger:
    """A version in another process, which is started here and asked for scores once it is ready.

    Args:
        registered: which version it is.
        folder: its files.

    Attributes:
        columns: the features it needs, in the order of the values that it takes; none before it is ready.
    """

    def __init__(self, registered: Registered, folder: Path) -> None:
        self.registered = registered
        self.columns: tuple[str, ...] = ()
        version = registered.name, registered.version, str(registered.sha256), str(folder)
        self._process = subprocess.Popen(  # noqa: S603 - our own module, and what the registry says of a version
            [sys.executable, "-m", "bentos.challenger_process", *version],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=PROJECT,
            env=_without_keys(os.environ) | {"OMP_NUM_THREADS": "1"},
        )

    def wait_ready(self) -> None:
        """Return when the version is in memory and its golden rows came out as recorded.

        Raises:
            ChallengerRefused: it does not pass the checks of `registry.loading.load_checked`.
            ChallengerEnded: it died over them.
        """
        ready = self._answer(_LOADING_SECONDS)
        if "error" in ready:
            raise ChallengerRefused(ready["error"], ready["message"])
        self.columns = tuple(ready["columns"])

    def scores(self, rows: Sequence[Sequence[Any]]) -> list[dict[str, float]]:
        """Predictions by output for rows of values in the order of `columns`; NaN, None and pandas' NA = missing.

        Raises:
            ScoringFailed: none of these rows was scored.
            ChallengerEnded: nor will be any other.
        """
        self._ask(orjson.dumps(rows, default=_missing, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
        answer = self._answer(_SCORING_SECONDS)
        if "error" in answer:
            raise ScoringFailed(answer["error"])
        scores: list[dict[str, float]] = answer["scores"]
        return scores

    @property
    def process_id(self) -> int:
        """Of the process that scores."""
        return self._process.pid

    def close(self) -> None:
        """End the process, whatever it is at; from any thread, and more than once."""
        self._process.kill()
        self._process.wait()

    def _ask(self, line: bytes) -> None:
        """Write a line that may be longer than what a pipe holds, as quickly as it is read and no longer than it is."""
        asking: Any = self._process.stdin
        for start in range(0, len(line), select.PIPE_BUF):
            if not _comes(asking, select.POLLOUT, _SCORING_SECONDS):
                raise self._ended()
            try:
                os.write(asking.fileno(), line[start : start + select.PIPE_BUF])  # for so much there is room now
            except OSError as error:
                raise self._ended() from error

    def _answer(self, seconds: float) -> dict[str, Any]:
        """The next line, of which the last byte comes in time too."""
        given: Any = self._process.stdout
        latest, line = time.monotonic() + seconds, bytearray()
        while not line.endswith(b"\n"):
            comes = _comes(given, select.POLLIN, max(0.0, latest - time.monotonic()))
            piece = os.read(given.fileno(), _PIECE) if comes else b""
            if not piece:
                raise self._ended()
            line += piece
        answer: dict[str, Any] = orjson.loads(line)
        return answer

    def _ended(self) -> ChallengerEnded:
        late = self._process.poll() is None
        self.close()
        return ChallengerEnded("it did not answer in time" if late else f"its process ended with {self._process.returncode}")


def _without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """What a process may know that reads no setting and makes no figures: settings hold keys and passwords."""
    return {name: value for name, value in environment.items() if not name.upper().startswith(PREFIX) and name != VARIABLE}


def _comes(pipe: Any, event: int, seconds: float) -> bool:
    """Whether a pipe can be read from or written to in time; `poll` takes a descriptor of any number, which `select` does not."""
    watch = select.poll()
    watch.register(pipe, event)
    return bool(watch.poll(seconds * 1000))


def _missing(_value: object) -> None:
    """What pandas has for missing values; a model's features are numbers and texts."""
