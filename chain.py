"""Hash chains: rows numbered from 1, each sealed with a hash over itself and the row before."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol, TypeVar

import orjson

START = "0" * 64
"""What the first row is chained to."""


class Link(Protocol):
    """What every row of a chain has."""

    @property
    def sequence(self) -> int:
        """Its number, from 1 on without gaps."""

    @property
    def previous_hash(self) -> str:
        """The hash of the row before."""

    @property
    def hash(self) -> str:
        """The seal over all else."""


AnyLink = TypeVar("AnyLink", bound=Link)


@dataclass(frozen=True)
class Head:
    """The newest row of a chain; `sequence` is also the count of rows, 0 for an empty one."""

    sequence: int = 0
    hash: str = START


@dataclass(frozen=True)
class Note:
    """The hash of a row as it was noted outside the chain, and where."""

    hash: str
    place: str


@dataclass(frozen=True)
class Verification:
    """How many rows are as they were written; the first that is not, and what is wrong with it, if any."""

    rows: int
    first_bad: int | None = None
    problem: str = ""


def seal(values: list[Any]) -> str:
    """SHA-256 over the values as JSON; moments count in UTC."""
    return sha256(orjson.dumps(values)).hexdigest()


def check(
    rows: Iterable[AnyLink], sealed: Callable[[AnyLink], str], about: Callable[[AnyLink], str], noted: Mapping[int, Note]
) -> Verification:
    """Walk a chain and name the first row that was edited, removed, swapped or put in.

    The chain alone cannot show that its newest rows were cut off, or that all of it was written anew from some row on: `noted`
    are rows kept elsewhere, by sequence number, with which even that shows, up to the newest of them.

    Args:
        rows: the chain in order.
        sealed: the hash that a row ought to have.
        about: what a row records, for the message.
        noted: rows noted outside.
    """
    before: AnyLink | None = None
    count = 0
    for row in rows:
        if row.sequence != count + 1:
            return Verification(count, count + 1, "is missing")
        if row.hash != sealed(row):
            return Verification(count, row.sequence, f"({about(row)}) is not as it was written")
        if row.previous_hash != (before.hash if before else START):
            culprit = before or row  # an intact row says what the one before it was
            return Verification(count, culprit.sequence, f"({about(culprit)}) was changed and sealed anew")
        note = noted.get(row.sequence)
        if note and note.hash != row.hash:
            return Verification(count, row.sequence, f"({about(row)}) is not the one noted {note.place}")
        before, count = row, count + 1
    newest = max(noted, default=0)
    if newest > count:
        return Verification(count, count + 1, f"is missing: {newest} rows at least were there, as noted {noted[newest].place}")
    return Verification(count)
