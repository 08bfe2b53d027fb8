"""Folders in which flows work: the copy of a table, a model before it is registered."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from settings import settings


@contextmanager
def scratch() -> Iterator[str]:
    """A folder for the duration of one piece of work; what killed processes left in theirs is removed first."""
    remove_abandoned()
    with _alone() as root:  # until it is locked, it would be taken for an abandoned one
        folder = tempfile.TemporaryDirectory(dir=root)
        owner = os.open(folder.name, os.O_RDONLY)
        fcntl.flock(owner, fcntl.LOCK_EX)
    try:
        with folder as name:
            yield name
    finally:
        os.close(owner)


def remove_abandoned() -> None:
    """Remove the folders whose process was killed, for they may hold rows of clients: whoever lives has a lock on its own."""
    with _alone() as root:
        for folder in filter(Path.is_dir, root.iterdir()):
            found = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            except BlockingIOError:  # in use
                pass
            finally:
                os.close(found)


@contextmanager
def _alone() -> Iterator[Path]:
    root = settings().var / "training"
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / ".lock"):
        yield root
