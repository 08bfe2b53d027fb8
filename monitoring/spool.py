"""A spool: rows appended to a file of one process, durable at once, until they are moved into the journal's table in bulk.

The file is a ring of frames. Each frame: sequence (8 bytes), length of the payload (4), CRC-32 of sequence and payload (4), then
the payload, a JSON array of rows. A frame whose sequence or checksum is not the expected one is the end: what lies there is of an
earlier round, or was being written when the power went. The database knows up to where a spool was moved (`Place`), and learns
it in the transaction that moves the rows, so that each row is there once, whoever moves it and whenever that process dies.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from zlib import crc32

import orjson

from monitoring.rows import Record

SUFFIX = ".spool"
_HEAD = Struct("<QII")
_SEQUENCE = Struct("<Q")
_ROOM = 32 << 20
_BLOCK = 1 << 20
_WRAP = b""  # the payload of the frame after which the ring begins anew


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next frame of a spool lies, and which sequence it has to have."""

    sequence: int = 1
    offset: int = 0


class Spool:
    """The spool of this process: one thread at a time appends, another may say meanwhile what was moved.

    The file has its full size from the beginning, so that appending takes no space and changes no metadata.

    Args:
        folder: where the file is made.
        room: its size in bytes.

    Attributes:
        name: of the file, without suffix.

    Raises:
        OSError: there is no space, or the folder cannot be written to.
    """

    def __init__(self, folder: Path, room: int = _ROOM) -> None:
        self.name = os.urandom(16).hex()
        self._path = folder / f"{self.name}{SUFFIX}"
        self._room = room
        self._next = self._moved = Place()
        self._file = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as long as its process lives
            for start in range(0, room, _BLOCK):
                os.pwrite(self._file, bytes(min(_BLOCK, room - start)), start)
            os.fsync(self._file)
            _sync(folder)
            if not os.fstat(self._file).st_nlink:
                raise OSError("the journal's spool was taken away while it was made")
        except OSError:
            self.remove()
            raise

    @property
    def empty(self) -> bool:
        """Whether all its rows were moved."""
        return self._moved.sequence == self._next.sequence

    def append(self, records: Sequence[Record]) -> bool:
        """Keep rows; they survive a power cut when this returns True. False = there is no room, nothing was written.

        Raises:
            OSError: the disk refused; the rows may be there or not, and nothing may be appended any more.
        """
        payload = orjson.dumps(records)
        if not self._made_room(2 * _HEAD.size + len(payload)):
            return False
        self._write(payload)
        return True

    def moved(self, place: Place) -> None:
        """The database has all before `place`: its room is free again."""
        self._moved = place

    def remove(self) -> None:
        """Take the file away; for a spool that is empty."""
        self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Leave the file to whoever adopts it."""
        os.close(self._file)

    def _made_room(self, size: int) -> bool:
        """Whether so many bytes are free at the head of the ring, or at its beginning, to which the head then goes."""
        head, tail = self._next.offset, self._moved.offset
        if head < tail:
            return head + size < tail  # never full to the last byte, which would look like empty
        if head + size <= self._room:
            return True
        if size >= tail:
            return False
        self._write(_WRAP)
        return True

    def _write(self, payload: bytes) -> None:
        frame = _HEAD.pack(self._next.sequence, len(payload), _checksum(self._next, payload)) + payload
        if os.pwrite(self._file, frame, self._next.offset) != len(frame):
            raise OSError("the disk took a part of a frame of the journal's spool")
        os.fdatasync(self._file)
        self._next = _after(self._next, payload)


def frames(file: int, place: Place) -> Iterator[tuple[list[Record], Place]]:
    """The rows of each frame of an open spool from `place` on, and the place behind it; no rows where the ring begins anew."""
    while (payload := _payload(file, place)) is not None:
        place = _after(place, payload)
        yield orjson.loads(payload) if payload else [], place


def _payload(file: int, place: Place) -> bytes | None:
    head = os.pread(file, _HEAD.size, place.offset)
    if len(head) < _HEAD.size:
        return None
    sequence, length, checksum = _HEAD.unpack(head)
    if sequence != place.sequence or length > _ROOM:
        return None
    payload = os.pread(file, length, place.offset + _HEAD.size)
    return payload if len(payload) == length and checksum == _checksum(place, payload) else None


def _after(place: Place, payload: bytes) -> Place:
    return Place(place.sequence + 1, place.offset + _HEAD.size + len(payload) if payload else 0)


def _checksum(place: Place, payload: bytes) -> int:
    return crc32(payload, crc32(_SEQUENCE.pack(place.sequence)))


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
