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
