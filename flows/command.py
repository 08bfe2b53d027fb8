"""What the commands `python -m flows.…` have in common: an ending that leaves their answer on the screen."""

import atexit
import logging
import os
import sys
from typing import NoReturn


class Command:
    """Ends the process without the noise that would bury what it said; made before Prefect and DuckDB are imported.

    Prefect keeps the frames of a run alive, so DuckDB would report each of its objects as leaked, in a hundred lines, while the
    interpreter is taken down. So it is not: everything registered for the end of the process runs, then the process ends.
    """

    def __init__(self) -> None:
        self._status = 1  # unless `end` is reached
        atexit.register(self._leave)  # registered first, so it runs last

    def end(self, status: int) -> NoReturn:
        """End with the exit status."""
        self._status = status
        sys.exit(status)

    def _leave(self) -> None:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self._status)


class WithoutTrace(logging.Filter):
    """Log records without the stack trace of a refusal: the command itself says in one sentence what to do."""

    def __init__(self, refusals: tuple[type[Exception], ...]) -> None:
        super().__init__()
        self._refusals = refusals

    def filter(self, record: logging.LogRecord) -> bool:
        """Let the record pass, shortened where a refusal caused it."""
        if record.exc_info and isinstance(record.exc_info[1], self._refusals):
            record.exc_info = None
            record.exc_text = None
        return True
