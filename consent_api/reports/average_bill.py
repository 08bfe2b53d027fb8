"""Report template `average_bill`: how much a purchase costs."""

import math
from dataclasses import dataclass

import ibis
import numpy as np
from ibis.expr.types import Column, Table

from consent_api.contributions import BILL_EDGES_KZT, BILLS, PURCHASES, SPENT
from consent_api.reports.bounding import is_there, scaled, share_within, squares, within
from consent_api.reports.template import CURRENCY, TIYN, Cell, Findings, Measure

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
_LENGTH = "bills_length"
_PARTS = 100  # hundredths of purchases are counted, so that dropping fractions loses little


@dataclass(frozen=True)
class AverageBill:
    """Sum and number of purchases, their ratio, and quantiles read off a histogram over public bins.

    A client beyond a bound counts with a share of each of its purchases.

    Args:
        largest_total_KZT, most_purchases, largest_histogram_norm: see catalogues/data_types.toml.
    """

    largest_total_KZT: int  # noqa: N815 - the currency as tables.md writes it
    most_purchases: int
    largest_histogram_norm: int
    needs_incomes = False
    exact_by_design = ()

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Tiyn; hundredths of purchases, in all and by bin; clients."""
        return (
            Measure("total", 1, (self.largest_total_KZT * TIYN) ** 2, TIYN),
            Measure("purchases", 1, (self.most_purchases * _PARTS) ** 2, _PARTS),
            Measure("histogram", len(BILLS), (self.largest_histogram_norm * _PARTS) ** 2, _PARTS),
            Measure("clients", 1, 1),
        )

    @property
    def bounds(self) -> dict[str, int]:
        """The configured ones, and the range that quantiles lie in."""
        return vars(self) | {"smallest_quantile_KZT": int(BILL_EDGES_KZT[0]), "largest_quantile_KZT": int(BILL_EDGES_KZT[-1])}

    def lengths(self, clients: Table) -> dict[str, Column]:
        """Of the histogram."""
        return {_LENGTH: squares(_histogram(clients)).sqrt()}

    def columns(self, clients: Table) -> dict[str, list[Column]]:
        """See `Template`."""
        purchases, spent = clients[PURCHASES], clients[SPENT]
        # one share for both, because the mean of a client with many purchases would grow if only their number were cut
        share = ibis.least(share_within(purchases, self.most_purchases), share_within(spent, self.largest_total_KZT * TIYN))
        return {
            "total": [scaled(spent, share)],
            "purchases": [scaled(purchases * _PARTS, share)],
            "histogram": within(_histogram(clients), clients[_LENGTH], self.largest_histogram_norm * _PARTS),
            "clients": [is_there(purchases)],
        }

    def thresholds(self, cell: Cell) -> dict[str, float]:
        """Of all clients."""
        return {"clients": cell.threshold("clients")}

    def findings(self, cell: Cell, whole: Cell) -> Findings | None:  # noqa: ARG002 - the protocol's signature
        """Mean and quantiles of `cell`."""
        purchases, spent = cell.value("purchases"), cell.value("total")
        if cell.value("clients") < cell.threshold("clients") or purchases < 1 or not cell.values("histogram").sum():
            return None
        mean = spent / purchases
        deviations = {"total": cell.deviation("total"), "number_of_purchases": cell.deviation("purchases")}
        quantiles = {str(share): _quantile(cell, share) for share in QUANTILES}
        return Findings(
            {
                "currency": CURRENCY,
                "mean": round(mean, 2),
                "quantiles": {name: round(value, 2) for name, (value, _) in quantiles.items()},
                "number_of_purchases": purchases,
                "total": spent,
            },
            # of a ratio: first order, numerator and denominator have independent noise
            {"mean": math.hypot(deviations["total"], mean * deviations["number_of_purchases"]) / purchases}
            | {"quantiles": {name: deviation for name, (_, deviation) in quantiles.items()}}
            | deviations,
            cell.value("clients"),
            cell.deviation("clients"),
        )


def _histogram(clients: Table) -> list[Column]:
    return [clients[name] * _PARTS for name in BILLS]


def _quantile(cell: Cell, share: float) -> tuple[float, float]:
    """The quantile in tenge, and half the distance between those one standard deviation of the rank below and above it."""
    counts = np.cumsum(cell.values("histogram").astype(float))
    below = int(np.searchsorted(counts, share * counts[-1]))
    # the rank is the sum of the bins below, less its share of all bins
    spread = math.sqrt(below * (1 - share) ** 2 + (len(counts) - below) * share**2) * cell.deviation("histogram") / counts[-1]
    low, value, high = (_interpolated(counts, min(max(at, 0.0), 1.0)) for at in (share - spread, share, share + spread))
    return value, (high - low) / 2


def _interpolated(counts: np.ndarray, share: float) -> float:
    """Where `share` of the purchases lies below, as if they lay evenly by logarithm within a bin."""
    edges = np.log(BILL_EDGES_KZT)
    return float(np.exp(np.interp(share * counts[-1], [0.0, *counts], edges)))
