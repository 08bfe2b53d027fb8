"""What a report template is: which bounded figures it takes of each client, and what it says of their noised sums."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from ibis.expr.types import Column, Table

from consent_api import privacy

Vector = np.ndarray[Any, np.dtype[np.int64]]
CURRENCY = "KZT"
TIYN = 100
"""Minor units in a tenge."""


@dataclass(frozen=True)
class Measure:
    """Integers of each client that are summed and get noise as one vector.

    Attributes:
        name: as the shares in data_types.toml name it.
        width: how many integers.
        sensitivity_squared: the largest squared L2 length that one client's vector can have.
        unit: by what the sums are divided before they are published.
    """

    name: str
    width: int
    sensitivity_squared: int
    unit: int = 1


@dataclass(frozen=True)
class Estimate:
    """Published numbers and the standard deviation that the noise gives each of them."""

    values: Vector
    deviation: float


@dataclass(frozen=True)
class Cell:
    """Everything that is known of a group of clients once the noise is added, by measure; nothing else may be published."""

    estimates: Mapping[str, Estimate]
    period: str
    fewest_clients: int

    def values(self, measure: str) -> Vector:
        """The numbers of a measure."""
        return self.estimates[measure].values

    def value(self, measure: str) -> int:
        """The number of a measure that has one only."""
        return int(self.values(measure)[0])

    def deviation(self, measure: str) -> float:
        """The standard deviation of each number of a measure."""
        return self.estimates[measure].deviation

    def threshold(self, measure: str) -> float:
        """From which noised number of clients, which `measure` counts, on something is shown."""
        return privacy.suppression_threshold(self.fewest_clients, self.deviation(measure))


@dataclass(frozen=True)
class Findings:
    """What is published of a cell: figures, the standard deviation of each, and the noised number of clients with its own."""

    metrics: dict[str, Any]
    deviations: dict[str, Any]
    clients: int
    clients_deviation: float


class Template(Protocol):
    """One way to report on clients; everything it computes from `Cell` is post-processing of noised sums."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What is summed."""

    @property
    def needs_incomes(self) -> bool:
        """Whether nothing can be said without predicted incomes."""

    @property
    def bounds(self) -> dict[str, int]:
        """The bounds of one client's figures, as `privacy` states them."""

    @property
    def exact_by_design(self) -> tuple[str, ...]:
        """Metrics that follow from the others and have no noise of their own."""

    def lengths(self, clients: Table) -> dict[str, Column]:
        """Further columns of `clients` that many of `columns` read; as columns of their own they are computed once."""

    def columns(self, clients: Table) -> dict[str, list[Column]]:
        """The bounded integers of each client by measure; `clients` has a row per client, see `contributions`, and `lengths`."""

    def thresholds(self, cell: Cell) -> dict[str, float]:
        """From how many clients on what is shown."""

    def findings(self, cell: Cell, whole: Cell) -> Findings | None:
        """What may be shown of `cell`, which is `whole` or a part of it; None: nothing."""
