"""What the four BentoML services have in common: a backend that opens with the worker, and readiness once there is a champion."""

import ctypes
import os
import signal
import sys
from types import FrameType
from typing import Any, ClassVar

import bentoml

from bentos.serving.backend import Backend
from bentos.serving.lean import without_scikit_learn

_PR_SET_PDEATHSIG = 1
_SWITCH_SECONDS = 0.0005
"""A request waits no longer for a thread that moves journal rows or writes down what a challenger said; Python's own is 5 ms."""
_LAST_SECONDS = 20
"""How long answers in progress may take after SIGTERM; what takes longer has to be asked again."""


def end_with_supervisor() -> None:
    """Let the kernel end this worker when the BentoML supervisor that started it dies.

    A worker that outlives a killed supervisor keeps the port, and the restarted service cannot listen.
    """
    if sys.platform == "linux":
        supervisor = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != supervisor:  # it died before the kernel was asked
            os.kill(os.getpid(), signal.SIGTERM)


def end_in_time() -> None:
    """Let the kernel end this worker `_LAST_SECONDS` after SIGTERM, if it has not ended by itself.

    uvicorn waits for open connections as long as they like, and a body that trickles in may take an hour. No answer is lost: one
    leaves only after its row is durable.
    """
    told: Any = signal.getsignal(signal.SIGTERM)

    def tell(number: int, frame: FrameType | None) -> None:
        if not signal.getitimer(signal.ITIMER_REAL)[0]:  # told again is not given longer
            signal.alarm(_LAST_SECONDS)
        told(number, frame)

    signal.signal(signal.SIGTERM, tell)


class Served:
    """Base of a BentoML service over a backend: opened by hooks, because the lifespan of a mounted application does not run."""

    backend: ClassVar[Backend]

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    def start(self) -> None:
        """Open the databases and follow the champion."""
        end_with_supervisor()
        end_in_time()
        without_scikit_learn()
        sys.setswitchinterval(_SWITCH_SECONDS)
        self.backend.start()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Flush the journal."""
        self.backend.stop()

    def __is_ready__(self) -> bool:
        return self.backend.champion.ready
