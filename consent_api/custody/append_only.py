"""Files that only grow: JSON lines, on disk before a call returns, whole after a crash, for several processes at once."""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from edge.secret_files import keep_names

Line = Mapping[str, Any]
_TAIL = 1 << 16
_FURTHER = 16
"""How many times as far back is looked where a line is longer than what was read."""


@dataclass(frozen=True)
class AppendOnlyFile:
    """JSON lines at `path`; folders and file are made with the first line, for their owner only."""

    path: Path

    def append(self, lines: Callable[[Line | None], list[Line]]) -> None:
        """Write what `lines` makes of the newest line (None: there is none yet); all of it is on disk when this returns.

        Raises:
            OSError: it could not be written, and the file is as before.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._write(descriptor, lines)
        finally:
            os.close(descriptor)

    def read(self) -> Iterator[Line]:
        """Every whole line, oldest first; a line that a crash cut short was never relied on, and is left out."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for text in file:
                line = _parsed(text)
                if line is not None:
                    yield line

    def last(self) -> Line | None:
        """The newest whole line."""
        if not self.path.exists():
            return None
        with self.path.open("rb") as file:
            return _newest(file.fileno(), os.fstat(file.fileno()).st_size)

    def _write(self, descriptor: int, lines: Callable[[Line | None], list[Line]]) -> None:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        text = b"".join(orjson.dumps(line) + b"\n" for line in lines(_newest(descriptor, size)))
        if not text:
            return
        data = memoryview(b"\n" + text if torn else text)
        try:
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
            if size == 0:
                keep_names(self.path.parent)
        except OSError:
            os.ftruncate(descriptor, size)
            raise


def _newest(descriptor: int, size: int) -> Line | None:
    span = _TAIL
    while True:
        start = max(0, size - span)
        for text in reversed(os.pread(descriptor, size - start, start).splitlines(keepends=True)):
            line = _parsed(text)
            if line is not None:
                return line
        if not start:
            return None
        span *= _FURTHER


def _parsed(text: bytes) -> Line | None:
    if not text.endswith(b"\n"):
        return None
    try:
        line = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return line if isinstance(line, dict) else None
