"""Group commit: what several requests want of the database runs in one transaction, made durable once for all of them."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from consent_api.prepared import execute

Answer = TypeVar("Answer")
Work = Callable[[Connection], Answer]
"""A unit of work: it reads and writes through the connection, leaves commit and rollback alone, and gives its answer."""
_SAVEPOINT = "unit_of_work"


class TooManyWait(Exception):
    """The database is slower than the requests: nothing was done, and the caller may try again."""


class CommitterClosed(Exception):
    """This process is shutting down: nothing was done."""


@dataclass(frozen=True, eq=False)
class _Unit:
    """One caller's work, and the news of how it ended; told after the commit, since nothing is true before."""

    work: Work[Any]
    done: Future[Any] = field(default_factory=Future)


class Committer:
    """One thread that runs units of work, all that have gathered while it wrote the ones before in one transaction.

    Units run one after the other, each seeing what those before it did, as if each had a transaction of its own. One that raises
    leaves nothing behind and harms no other; a commit that fails fails them all.

    Args:
        transaction: gives a serialised transaction that is durable when its block has ended.
        capacity: most units that wait or are being run.
    """

    def __init__(self, transaction: Callable[[], AbstractContextManager[Connection]], capacity: int = 1000) -> None:
        self._transaction = transaction
        self._capacity = capacity
        self._changed = threading.Condition()
        self._waiting: list[_Unit] = []
        self._pending = 0
        self._closed = False
        self._thread: threading.Thread | None = None

    def submit(self, work: Work[Answer]) -> Future[Answer]:
        """Have `work` run; its answer, or what it raised, is there when all of it is durable. A cancelled unit may not run.

        Raises:
            TooManyWait, CommitterClosed: it will not run.
        """
        unit = _Unit(work)
        with self._changed:
            if self._closed:
                raise CommitterClosed("the store is closed: this process is shutting down")
            if self._pending >= self._capacity:
                raise TooManyWait(f"{self._pending} requests wait for the database")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
                self._thread.start()
            self._pending += 1
            self._waiting.append(unit)
            self._changed.notify()
        return unit.done

    def close(self) -> None:
        """Run what waits, then take no more; safe to call twice."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while group := self._take():
            self._commit([unit for unit in group if unit.done.set_running_or_notify_cancel()])
            with self._changed:
                self._pending -= len(group)

    def _take(self) -> list[_Unit]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            taken, self._waiting = self._waiting, []
            return taken

    def _commit(self, group: list[_Unit]) -> None:
        if not group:
            return
        try:
            with self._transaction() as connection:
                if len(group) == 1:  # alone, a unit that raises takes the whole transaction back
                    answers: list[tuple[Any, Exception | None]] = [(group[0].work(connection), None)]
                else:
                    answers = [_within_savepoint(connection, unit.work) for unit in group]
        except BaseException as error:  # noqa: BLE001 - whatever it is, the callers must hear of it and the thread must go on
            for unit in group:
                unit.done.set_exception(error)
        else:
            for unit, (answer, refusal) in zip(group, answers, strict=True):
                if refusal is None:
                    unit.done.set_result(answer)
                else:
                    unit.done.set_exception(refusal)


def _within_savepoint(connection: Connection, work: Work[Any]) -> tuple[Any, Exception | None]:
    """The answer of `work`, or what it raised once all of its doing is taken back.

    As `Connection.begin_nested` does it, but with statements that need no compiling: that took longer than most units.

    Raises:
        DBAPIError: the transaction is lost, and with it what other units did.
    """
    connection.dispatch.savepoint(connection, _SAVEPOINT)
    execute(connection, f"SAVEPOINT {_SAVEPOINT}")
    try:
        answer = work(connection)
        execute(connection, f"RELEASE SAVEPOINT {_SAVEPOINT}")
        connection.dispatch.release_savepoint(connection, _SAVEPOINT, None)
    except Exception as error:  # noqa: BLE001 - its caller gets it
        _take_back(connection, error)
        return None, error
    return answer, None


def _take_back(connection: Connection, error: Exception) -> None:
    if connection.invalidated and isinstance(error, DBAPIError):  # nothing is left to be taken back, and this says why
        raise error
    connection.dispatch.rollback_savepoint(connection, _SAVEPOINT, None)
    execute(connection, f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
