"""Working off the prescoring queue: a thread inside the service, or a process of its own, as many as wanted.

`python -m bentos.prescoring.worker` runs one that serves no requests.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
import traceback
from datetime import timedelta

from bentos.prescoring.tasks import Prescoring
from bentos.serving.backend import Backend
from clock import now
from edge.errors import RequestRefused
from settings import Settings, settings

_LOOK_SECONDS = 0.2
"""How often the queue is asked for forms that another process accepted, and for leases that ran out."""

_PAUSE_SECONDS = 1.0
"""Rest after the database or the model failed, before the next try."""

_FORGET_SECONDS = 3600.0

logger = logging.getLogger("opora.prescoring")


class QueueWorker:
    """A thread that takes form after form until it is stopped; what it had not finished, another one takes over."""

    def __init__(self, prescoring: Prescoring, retention: timedelta) -> None:
        self._prescoring = prescoring
        self._retention = retention
        self._stopped = threading.Event()
        self._called = threading.Event()
        self._forget_at = 0.0
        self._thread = threading.Thread(target=self._run, name="prescoring-queue", daemon=True)

    def start(self) -> None:
        """Begin, in a thread of its own; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the form at hand."""
        self._stopped.set()
        self._called.set()
        if self._thread.ident is not None:
            self._thread.join()

    def call(self) -> None:
        """Say that there is a new form, so that it need not wait for the next look."""
        self._called.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                busy = self._prescoring.ready and self._next()
            except Exception as error:  # noqa: BLE001 - whatever one form or the database does, the queue goes on
                logger.error("prescoring queue: %s; the form stays in the queue", type(error).__name__)
                self._stopped.wait(_PAUSE_SECONDS)
                continue
            if not busy:
                self._called.wait(_LOOK_SECONDS)
                self._called.clear()

    def _next(self) -> bool:
        if time.monotonic() >= self._forget_at:
            self._forget_at = time.monotonic() + _FORGET_SECONDS
            self._prescoring.queue.forget(now() - self._retention)
        task = self._prescoring.queue.take()
        if task is None:
            return False
        try:
            self._prescoring.work(task)
        except RequestRefused:
            raise
        except Exception as error:  # noqa: BLE001 - the queue has noted it and decides whether the form gets another try
            # The kind and the place: messages of libraries quote values, and those may be the client's.
            place = traceback.extract_tb(error.__traceback__)[-1]
            logger.error(
                "prescoring queue: a form could not be scored: %s in %s, line %s", type(error).__name__, place.name, place.lineno
            )
        return True


def work(config: Settings) -> None:
    """Work off the queue of these settings until SIGTERM or SIGINT."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    backend = Backend("prescoring", config)
    backend.start()
    worker = QueueWorker(Prescoring(backend), timedelta(days=config.prescoring_retention_days))
    worker.start()
    stopped.wait()
    worker.stop()
    backend.stop()


if __name__ == "__main__":
    work(settings())
