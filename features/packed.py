"""Rows of numbers as the online store keeps those that are looked up by the thousand: a layout's id, then float64 in hexadecimal.

A quarter of the room that JSON with names takes, and the rows of a batch become one array without a Python object for each value.
"""

from collections.abc import Sequence
from struct import unpack

from features.layouts import ID_LENGTH

PACKED = frozenset({"fraud"})
"""Feature sets that are kept so; all their values are numbers."""


def is_packed(text: str) -> bool:
    """Whether a stored text is such a row; other sets, and older rows of these, are JSON objects."""
    return not text.startswith("{")


def unpacked(text: str, names: Sequence[str]) -> dict[str, float | None]:
    """The values of one row by name, None = missing."""
    numbers = unpack(f"<{len(names)}d", bytes.fromhex(text[ID_LENGTH:]))
    return {name: number if number == number else None for name, number in zip(names, numbers, strict=True)}
