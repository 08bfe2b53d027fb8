"""Report template `spending_dynamics`: how much is spent month by month; a release adds one month's figures."""

import math
from dataclasses import dataclass

from ibis.expr.types import Column, Table

from consent_api.contributions import PURCHASES, SPENT
from consent_api.reports.bounding import at_most, is_there
from consent_api.reports.template import CURRENCY, TIYN, Cell, Findings, Measure


@dataclass(frozen=True)
class SpendingDynamics:
    """Spending, purchases and active clients of the month.

    Args:
        largest_total_KZT, most_purchases: see catalogues/data_types.toml.
    """

    largest_total_KZT: int  # noqa: N815 - the currency as tables.md writes it
    most_purchases: int
    needs_incomes = False
    exact_by_design = ()

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Tiyn; purchases; clients."""
        return (
            Measure("total", 1, (self.largest_total_KZT * TIYN) ** 2, TIYN),
            Measure("purchases", 1, self.most_purchases**2),
            Measure("clients", 1, 1),
        )

    @property
    def bounds(self) -> dict[str, int]:
        """The configured ones."""
        return dict(vars(self))

    def lengths(self, clients: Table) -> dict[str, Column]:  # noqa: ARG002 - the protocol's signature
        """None: no vector is shortened."""
        return {}

    def columns(self, clients: Table) -> dict[str, list[Column]]:
        """See `Template`."""
        purchases = clients[PURCHASES]
        return {
            "total": [at_most(clients[SPENT], self.largest_total_KZT * TIYN)],
            "purchases": [at_most(purchases, self.most_purchases)],
            "clients": [is_there(purchases)],
        }

    def thresholds(self, cell: Cell) -> dict[str, float]:
        """Of all clients."""
        return {"clients": cell.threshold("clients")}

    def findings(self, cell: Cell, whole: Cell) -> Findings | None:  # noqa: ARG002 - the protocol's signature
        """The month's figures of `cell`."""
        active = cell.value("clients")
        if active < cell.threshold("clients"):
            return None
        mean = cell.value("total") / active
        month = {
            "total": cell.value("total"),
            "number_of_purchases": cell.value("purchases"),
            "active_clients": active,
            "mean_per_client": round(mean, 2),
        }
        spread = {
            "total": cell.deviation("total"),
            "number_of_purchases": cell.deviation("purchases"),
            "active_clients": cell.deviation("clients"),
            # of a ratio: first order, numerator and denominator have independent noise
            "mean_per_client": math.hypot(cell.deviation("total"), mean * cell.deviation("clients")) / active,
        }
        metrics = {"currency": CURRENCY, "by_month": {cell.period: month}}
        return Findings(metrics, {"by_month": {cell.period: spread}}, active, spread["active_clients"])
