"""Secrets that a machine keeps in files: each whole or not at all, readable by its owner only, and there after a power cut."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def made_once(path: Path, make: Callable[[], bytes]) -> bytes:
    """What is in the file at `path`, which `make` fills when it is not there; of several processes the first wins.

    Raises:
        OSError: it can be neither read nor written.
    """
    if not path.exists():
        _publish(path, make())
    return path.read_bytes()


def replaced(path: Path, content: bytes) -> None:
    """Put `content` in the place of what the file holds: whole or not at all, on disk when this returns.

    Raises:
        OSError: it cannot be written, and the file is as before.
    """
    _draft(path, content).replace(path)
    keep_names(path.parent)


def keep_names(folder: Path) -> None:
    """Have what the names in a folder stand for on disk: syncing a file keeps its bytes, and not that it is called so."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _publish(path: Path, content: bytes) -> None:
    draft = _draft(path, content)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was faster, and its secret is as good
    finally:
        draft.unlink()
    keep_names(path.parent)


def _draft(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        draft.unlink()
        raise
    return draft
