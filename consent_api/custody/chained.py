"""Lines of a growing file chained by hash, so that one that was changed, removed or put in shows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from chain import START, seal
from consent_api.custody.append_only import Line

LINKS = ("sequence", "previous_hash")
"""What every line has beside its own fields and its `hash`."""


class NotAsWritten(Exception):
    """A line, counted from 1, that is not the one that was written there."""

    def __init__(self, number: int) -> None:
        super().__init__(f"line {number} is not as it was written")
        self.number = number


def chained(newest: Line | None, entries: Iterable[Mapping[str, Any]], sealed: Sequence[str]) -> list[Line]:
    """`entries` as the lines that follow `newest`; `sealed` names what each line's hash is over, `LINKS` among it."""
    sequence, previous = (newest["sequence"], newest["hash"]) if newest else (0, START)
    lines: list[Line] = []
    for each in entries:
        sequence += 1
        line = {**each, "sequence": sequence, "previous_hash": previous}
        previous = _seal(line, sealed)
        lines.append({**line, "hash": previous})
    return lines


def intact(lines: Iterable[Line], sealed: Sequence[str]) -> Iterator[Line]:
    """The lines, each once it was checked against the one before it.

    Raises:
        NotAsWritten: naming the first that is not.
    """
    previous = START
    for number, line in enumerate(lines, 1):
        if (line.get("sequence"), line.get("previous_hash")) != (number, previous) or line.get("hash") != _seal(line, sealed):
            raise NotAsWritten(number)
        previous = line["hash"]
        yield line


def _seal(line: Line, sealed: Sequence[str]) -> str:
    return seal([line.get(name) for name in sealed])
