"""Report template `category_spending`: what clients spend by category."""

from dataclasses import dataclass

import numpy as np
from ibis.expr.types import Column, Table

from consent_api.contributions import PURCHASES, SPENDING
from consent_api.reports.bounding import at_most, is_there, squares, within
from consent_api.reports.template import CURRENCY, TIYN, Cell, Findings, Measure
from features.categories import CATEGORIES

_NAMES = list(CATEGORIES)
_LENGTH = "spending_length"


@dataclass(frozen=True)
class CategorySpending:
    """Sums and numbers of clients by category; a category is shown where enough clients bought something of it.

    Args:
        largest_category_KZT, largest_norm_KZT: see catalogues/data_types.toml.
    """

    largest_category_KZT: int  # noqa: N815 - the currency as tables.md writes it
    largest_norm_KZT: int  # noqa: N815
    needs_incomes = False
    exact_by_design = ("top_category", "number_of_categories")

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Tiyn by category; clients by category; clients."""
        return (
            Measure("spending", len(_NAMES), (self.largest_norm_KZT * TIYN) ** 2, TIYN),
            Measure("categories", len(_NAMES), len(_NAMES)),
            Measure("clients", 1, 1),
        )

    @property
    def bounds(self) -> dict[str, int]:
        """The configured ones, and that a client may be counted in every category."""
        return vars(self) | {"categories_per_client": len(_NAMES)}

    def lengths(self, clients: Table) -> dict[str, Column]:
        """Of the spending by category."""
        return {_LENGTH: squares(self._spending(clients)).sqrt()}

    def columns(self, clients: Table) -> dict[str, list[Column]]:
        """See `Template`."""
        return {
            "spending": within(self._spending(clients), clients[_LENGTH], self.largest_norm_KZT * TIYN),
            "categories": [is_there(clients[name]) for name in SPENDING],
            "clients": [is_there(clients[PURCHASES])],
        }

    def _spending(self, clients: Table) -> list[Column]:
        return [at_most(clients[name], self.largest_category_KZT * TIYN) for name in SPENDING]

    def thresholds(self, cell: Cell) -> dict[str, float]:
        """Of all clients, and of those in a category."""
        return {name: cell.threshold(name) for name in ("clients", "categories")}

    def findings(self, cell: Cell, whole: Cell) -> Findings | None:
        """Spending by category of `cell`; categories that are hidden in the whole are hidden in its parts."""
        shown = _shown(cell) & _shown(whole)
        if cell.value("clients") < cell.threshold("clients") or not shown.any():
            return None
        spending = {name: int(cell.values("spending")[index]) for index, name in enumerate(_NAMES) if shown[index]}
        deviation = cell.deviation("spending")
        return Findings(
            {
                "currency": CURRENCY,
                "spending_by_category": spending,
                "top_category": max(spending, key=lambda name: spending[name]),
                "number_of_categories": len(spending),
                "total": sum(spending.values()),
            },
            {"spending_by_category": deviation, "total": deviation * len(spending) ** 0.5},
            cell.value("clients"),
            cell.deviation("clients"),
        )


def _shown(cell: Cell) -> np.ndarray:
    return cell.values("categories") >= cell.threshold("categories")
