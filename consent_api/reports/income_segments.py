"""Report template `income_segments`: how clients are spread over the segments of predicted income."""

import math
from dataclasses import dataclass
from itertools import pairwise

import ibis
from ibis.expr.types import Column, Table

from consent_api.contributions import INCOME
from consent_api.reports.template import Cell, Findings, Measure


@dataclass(frozen=True)
class IncomeSegments:
    """Clients by segment; one without a prediction is in none.

    Args:
        names: the segments from the lowest income up.
        borders: monthly income in tenge at which all but the first begin.
    """

    names: tuple[str, ...]
    borders: tuple[float, ...]
    needs_incomes = True
    exact_by_design = ()

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Clients by segment, each client in one."""
        return (Measure("segments", len(self.names), 1),)

    @property
    def bounds(self) -> dict[str, int]:
        """A client is in one segment."""
        return {"segments_per_client": 1}

    def lengths(self, clients: Table) -> dict[str, Column]:  # noqa: ARG002 - the protocol's signature
        """None: no vector is shortened."""
        return {}

    def columns(self, clients: Table) -> dict[str, list[Column]]:
        """See `Template`."""
        income = clients[INCOME]
        between = [(income >= low) & (income < high) for low, high in pairwise(self.borders)]
        inside = [income < self.borders[0], *between, income >= self.borders[-1]]
        return {"segments": [ibis.ifelse(each, 1, 0).cast("int64") for each in inside]}

    def thresholds(self, cell: Cell) -> dict[str, float]:
        """Of all clients, and of those in a segment."""
        return {"clients": _all_threshold(cell, len(self.names)), "segments": cell.threshold("segments")}

    def findings(self, cell: Cell, whole: Cell) -> Findings | None:
        """Shares and numbers of clients of `cell`; segments that are hidden in the whole are hidden in its parts."""
        counts, deviation = cell.values("segments"), cell.deviation("segments")
        clients = int(counts.sum())
        shown = (counts >= cell.threshold("segments")) & (whole.values("segments") >= whole.threshold("segments"))
        if clients < _all_threshold(cell, len(counts)) or not shown.any():
            return None
        named = {name: int(count) for name, count, there in zip(self.names, counts, shown, strict=True) if there}
        shares = {name: count / clients for name, count in named.items()}
        return Findings(
            {"share_by_segment": {name: round(share, 4) for name, share in shares.items()}, "clients_by_segment": named},
            {
                "clients_by_segment": deviation,
                "share_by_segment": {
                    name: _share_deviation(share, len(counts)) * deviation / clients for name, share in shares.items()
                },
            },
            clients,
            deviation * len(counts) ** 0.5,
        )


def _all_threshold(cell: Cell, segments: int) -> float:
    """The number of all clients is the sum of as many noised numbers as there are segments."""
    return cell.fewest_clients + (cell.threshold("segments") - cell.fewest_clients) * segments**0.5


def _share_deviation(share: float, segments: int) -> float:
    """Of x / (x + others), to first order, for noise of deviation 1 in each segment and a sum of 1."""
    return math.sqrt(1 - 2 * share + segments * share**2)
