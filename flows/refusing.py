"""A refusal ends a run with its sentence; a stack trace is for what nobody foresaw."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from prefect.states import Failed

P = ParamSpec("P")
Answer = TypeVar("Answer")


def refusing(*refusals: type[Exception]) -> Callable[[Callable[P, Answer]], Callable[P, Answer]]:
    """A flow that fails with the words of a refusal as the message of its state; stands below `@flow`.

    Whoever calls it in Python gets the exception itself, as from any flow. Its tasks raise refusals as they are; the log has
    them without a trace.
    """
    logging.getLogger("prefect.task_runs").addFilter(_without_trace(refusals))

    def decorate(function: Callable[P, Answer]) -> Callable[P, Answer]:
        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> Answer:
            try:
                return function(*args, **kwargs)
            except refusals as refusal:
                state: Any = Failed(message=str(refusal), data=refusal)
                return cast(Answer, state)  # Prefect takes a returned state for that of the run

        return run

    return decorate


def _without_trace(refusals: tuple[type[Exception], ...]) -> Callable[[logging.LogRecord], bool]:
    def shorten(record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], refusals):
            record.exc_info = record.exc_text = None
        return True

    return shorten
