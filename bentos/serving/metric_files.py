"""Where the workers of one service share their Prometheus figures."""

import os
import shutil
import socket
from pathlib import Path

import psutil

from settings import settings

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def share_figures() -> None:
    """Give the workers of this service, and of no other, a folder for their figures; to be called before any figure is made.

    BentoML names one folder for all services of a `BENTOML_HOME` and empties it whenever one of them starts: the figures of the
    others would be lost, or appear as this one's. In a process that is no BentoML worker nothing happens.
    """
    if _VARIABLE not in os.environ:
        return
    folder = settings().var / "metrics" / _name(psutil.Process(os.getppid()))
    folder.mkdir(parents=True, exist_ok=True)
    _tidy(folder.parent)
    os.environ[_VARIABLE] = str(folder)


def _name(supervisor: psutil.Process) -> str:
    return f"{socket.gethostname()}.{supervisor.pid}.{supervisor.create_time():.2f}"


def _tidy(parent: Path) -> None:
    """Remove the folders of supervisors of this machine that have ended."""
    ours = [folder for folder in parent.iterdir() if folder.name.startswith(f"{socket.gethostname()}.")]
    living = {_name(process) for process in _supervisors(ours)}
    for folder in ours:
        if folder.name not in living:
            shutil.rmtree(folder, ignore_errors=True)


def _supervisors(folders: list[Path]) -> list[psutil.Process]:
    found = []
    for folder in folders:
        pid = folder.name.removeprefix(f"{socket.gethostname()}.").split(".", 1)[0]
        try:
            found.append(psutil.Process(int(pid)))
        except (psutil.NoSuchProcess, ValueError):
            continue
    return found
