"""Ids that grow with time, so that rows written together lie together in an index and are found together."""

import os
import time
from random import Random

_VERSION_7 = 7 << 76 | 2 << 62
_RANDOM = Random()  # noqa: S311 - ids are unique, not secret; its own, since whoever seeds the shared one would repeat ours
os.register_at_fork(after_in_child=_RANDOM.seed)


def new_ids(count: int) -> list[str]:
    """Unique ids in the form of UUID version 7 (RFC 9562), without dashes: 48 bits of time, then 74 random bits."""
    moment = (time.time_ns() // 1_000_000 << 80) | _VERSION_7
    bits = _RANDOM.getrandbits
    return [f"{moment | bits(12) << 64 | bits(62):032x}" for _ in range(count)]
