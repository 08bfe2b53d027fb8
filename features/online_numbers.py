"""Newest rows of several clients as one array."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True, eq=False)
class OnlineNumbers:
    """Newest rows of several clients in a set of `features.packed.PACKED`.

    Attributes:
        names: of the values, in the order of the columns.
        clients: code of each client that has a row → its row.
        values: shape (clients, names) float64, NaN = missing.
    """

    names: tuple[str, ...]
    clients: Mapping[str, int]
    values: np.ndarray

    @classmethod
    def of_texts(cls, names: tuple[str, ...], clients: Sequence[str], texts: str) -> Self:
        """From packed rows in the order of the clients, one after the other and without their layout's id."""
        values = np.frombuffer(bytes.fromhex(texts), dtype="<f8").reshape(len(clients), len(names))
        return cls(names, {code: row for row, code in enumerate(clients)}, values)

    @classmethod
    def of_rows(cls, rows: Mapping[str, Mapping[str, float | None]]) -> Self:
        """From values by name of each client."""
        names = tuple(dict.fromkeys(name for values in rows.values() for name in values))
        numbers = np.array([[values.get(name) for name in names] for values in rows.values()], dtype=np.float64)
        return cls(names, {code: row for row, code in enumerate(rows)}, numbers.reshape(len(rows), len(names)))
