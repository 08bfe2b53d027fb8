"""What the four BentoML services have in common: a backend that opens with the worker, and readiness once there is a champion."""

import ctypes
import os
import signal
import sys
from typing import ClassVar

import bentoml

from bentos.serving.backend import Backend
from bentos.serving.lean import without_scikit_learn

_PR_SET_PDEATHSIG = 1


def end_with_supervisor() -> None:
    """Let the kernel end this worker when the BentoML supervisor that started it dies.

    A worker that outlives a killed supervisor keeps the port, and the restarted service cannot listen.
    """
    if sys.platform == "linux":
        supervisor = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != supervisor:  # it died before the kernel was asked
            os.kill(os.getpid(), signal.SIGTERM)


class Served:
    """Base of a BentoML service over a backend: opened by hooks, because the lifespan of a mounted application does not run."""

    backend: ClassVar[Backend]

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    def start(self) -> None:
        """Open the databases and follow the champion."""
        end_with_supervisor()
        without_scikit_learn()
        self.backend.start()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Flush the journal."""
        self.backend.stop()

    def __is_ready__(self) -> bool:
        return self.backend.champion.ready
