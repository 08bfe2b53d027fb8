"""Where the workers of one service share their Prometheus figures."""

import fcntl
import os
import shutil
import socket
import time
from contextlib import suppress
from pathlib import Path

from settings import settings

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_KINDS = ("counter", "histogram", "gauge_livemax", "gauge_livesum")
_ROOM = 256 << 10
_SILENT_SECONDS = 86_400.0
"""Folders of other machines in which nobody has worked or written for so long are those of containers that are no more."""
_STARTED = 19
"""Place of the start in what follows the name in /proc/<pid>/stat, in ticks since the machine's own start: proc(5), field 22."""


def share_figures() -> None:
    """Give the workers of this service, and of no other, a folder for their figures; to be called before any figure is made.

    BentoML names one folder for all services of a `BENTOML_HOME` and empties it whenever one of them starts: the figures of the
    others would be lost, or appear as this one's. In a process that is no BentoML worker nothing happens.

    Where the disk has no room the worker keeps its figures to itself.
    """
    if VARIABLE not in os.environ:
        return
    folder = settings().var / "metrics" / _name(os.getppid())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _work_in(folder)
        _tidy(folder.parent)
        _forget_the_dead(folder)
        _take_room(folder)
    except OSError:
        del os.environ[VARIABLE]
    else:
        os.environ[VARIABLE] = str(folder)


def _name(supervisor: int) -> str:
    """Of the folder of a supervisor: the same for as long as it lives, also when somebody sets the clock."""
    started = Path(f"/proc/{supervisor}/stat").read_text().rpartition(")")[2].split()[_STARTED]
    return f"{socket.gethostname()}.{supervisor}.{started}"


def _work_in(folder: Path) -> None:
    """Hold a lock on the folder until this process ends, however it does: a container sees no processes of others.

    Where the disk knows no locks nobody gets one, and so nothing of other containers is removed.
    """
    with suppress(OSError):
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_SH)


def _tidy(parent: Path) -> None:
    """Remove the folders of supervisors that have ended: of this machine at once, of others when nobody can need them."""
    for folder in parent.iterdir():
        ours = folder.name.startswith(f"{socket.gethostname()}.")
        if not _lives(folder.name) if ours else _forsaken(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _forsaken(folder: Path) -> bool:
    """Whether no worker has the folder and none had it lately: a supervisor starts a killed one anew, and that counts on."""
    try:
        if time.time() - max(path.stat().st_mtime for path in (folder, *folder.iterdir())) < _SILENT_SECONDS:
            return False
        opened = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(opened)
    except OSError:
        return False
    return True


def _lives(name: str) -> bool:
    try:
        return name == _name(int(name.split(".")[-2]))
    except (OSError, ValueError, IndexError):
        return False


def _forget_the_dead(folder: Path) -> None:
    """Take away what workers that were killed said of the moment: rows that waited there wait no more. Counts stay."""
    for file in folder.glob("gauge_live*.db"):
        if not Path(f"/proc/{file.stem.rpartition('_')[2]}").exists():
            file.unlink(missing_ok=True)


def _take_room(folder: Path) -> None:
    """Make the files of this process with all their blocks, before prometheus_client makes them without.

    It writes through memory maps: on a full disk the first figure on a page that has no block yet would end the process (SIGBUS).
    """
    for kind in _KINDS:
        file = folder / f"{kind}_{os.getpid()}.db"
        draft = file.with_suffix(".draft")  # whole before another worker reads it
        if file.exists():
            continue
        try:
            with draft.open("wb") as opened:
                os.posix_fallocate(opened.fileno(), 0, _ROOM)
            draft.rename(file)
        finally:
            draft.unlink(missing_ok=True)
