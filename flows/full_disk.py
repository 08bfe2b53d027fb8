"""A full disk ends a training with a sentence, whatever error it came out as."""

import contextlib
import errno
from collections.abc import Iterator

from settings import settings
from training.task import NotTrainable

_SIGNS = ("database or disk is full", "No space left on device", "Cannot write binary data", "FileStream.Write incomplete")
"""What SQLite, CatBoost, LightGBM and XGBoost say of it: their errors are none of the operating system."""


class NoRoom(NotTrainable):
    """The disk is full: make room and start again. The tables are not what stands in the way."""


@contextlib.contextmanager
def full_disk_told() -> Iterator[None]:
    """Make a full disk a refusal.

    Raises:
        NoRoom: says which disk.
    """
    try:
        yield
    except Exception as error:
        if not _of_a_full_disk(error):
            raise
        room = f"there is no room left on the disk of {settings().var}: make some and start again"
        raise NoRoom(f"{room}; an unfinished search goes on where it was") from error


def _of_a_full_disk(error: BaseException | None) -> bool:
    """Whether a full disk is behind the error, or behind what it is a consequence of."""
    if error is None:
        return False
    told = (isinstance(error, OSError) and error.errno == errno.ENOSPC) or any(sign in str(error) for sign in _SIGNS)
    return told or _of_a_full_disk(error.__cause__ or error.__context__)
