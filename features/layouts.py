"""Names in a fixed order, stored once under an id of their own, so that a row holds values alone."""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

import orjson

ID_LENGTH = 16
"""Characters of an id, all hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The id and the names."""

    layout: str
    names: tuple[str, ...]


@lru_cache(maxsize=64)
def layout_of(names: tuple[str, ...]) -> Layout:
    """The layout of these names; equal names give equal layouts in every process."""
    return Layout(sha256(orjson.dumps(names)).hexdigest()[:ID_LENGTH], names)
