"""One computation for all clients at a time on a machine, whether a service or a flow begins it."""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from settings import Settings


class AlreadyProcessing(Exception):
    """The recommendations are being computed at this moment: wait for that instead of doing the work again."""


@contextmanager
def alone(config: Settings) -> Iterator[None]:
    """Hold the right to compute.

    Raises:
        AlreadyProcessing: somebody else holds it.
    """
    config.var.mkdir(parents=True, exist_ok=True)
    lock = FileLock(config.var / "recommendations.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise AlreadyProcessing("the recommendations are being computed at this moment: ask again when that is done") from error
    try:
        yield
    finally:
        lock.release()
