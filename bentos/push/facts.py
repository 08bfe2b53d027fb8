"""What is observed of a client that speaks for a product: the raw material of push texts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from bentos.push.grammar import rounded
from bentos.push.writing import Observation
from bentos.tariffs import Benefit, Cashback, Credit, Deposit, Facts, Fees, Spread, Tariff, TopCashback
from features.categories import CATEGORIES
from features.last_month import MONTH

_QUARTER = 3
"""Months that the facts are means of."""
_TYPICAL = (0.9, 1.1)
"""A month is spoken of when it is this near to the mean of the quarter: the benefit is a year of that mean, and whoever works it
out from the month and the rate has to come to about the same."""


def observed(tariff: Tariff, benefit: Benefit, facts: Facts, month: Mapping[str, Any] | None) -> Observation:
    """What a text about a product may say.

    Sums are those of the client's own rows; means (salary, what lies still) are rounded. The rate of a tariff is not spoken of
    where its cap cuts the benefit, nor of a month that is far from the mean.

    Args:
        benefit: of the tariff for these facts.
        facts: means of the last 90 days.
        month: the client's row of the online set "last_month", None when it has none.
    """
    if isinstance(tariff, Credit):
        return Observation(rounded(facts.income), share=facts.payment_share, rate=tariff.rate_yearly)
    if isinstance(tariff, Deposit):
        return Observation(rounded(benefit.fact), rate=tariff.rate_yearly)
    seen = _Month(month)
    if isinstance(tariff, Spread):
        return Observation(_QUARTER * facts.exchanged, seen.first_day, _typical(seen.amount("month_fx"), facts.exchanged))
    if isinstance(tariff, Fees):
        return Observation(_QUARTER * facts.transferred, seen.first_day, _typical(seen.amount("month_p2p"), facts.transferred))
    rate = tariff.rate if isinstance(tariff, Cashback | TopCashback) else tariff.rate(facts.balance)
    named = _named(tariff, facts)
    spent = _typical(seen.spent(named), benefit.fact)
    return Observation(_QUARTER * benefit.fact, seen.first_day, spent, None, named, None if benefit.capped else rate)


def _typical(in_month: float | None, mean: float) -> float | None:
    """An amount of the month, None when it says little about the quarter."""
    least, most = (share * mean for share in _TYPICAL)
    return in_month if in_month is not None and least <= in_month <= most else None


def _named(tariff: Tariff, facts: Facts) -> tuple[str, ...]:
    """The categories that the tariff rewards and the client buys, the largest first; none where it rewards every category."""
    bought = sorted((name for name in facts.spending if facts.spending[name] > 0), key=lambda name: -facts.spending[name])
    if isinstance(tariff, TopCashback):
        return tuple(bought[: tariff.count])
    rewarded = tariff.categories if isinstance(tariff, Cashback) else ()
    return tuple(name for name in bought if name in rewarded)


class _Month:
    """A client's newest full month; nothing at all where there is no row."""

    def __init__(self, row: Mapping[str, Any] | None) -> None:
        self._row = row or {}
        self.first_day = None if row is None else date.fromisoformat(f"{row[MONTH]}-01")

    def amount(self, name: str) -> float:
        return float(self._row.get(name) or 0.0)

    def spent(self, categories: tuple[str, ...]) -> float | None:
        """Purchases in these categories (none named = all), None unless each of them occurs in the month."""
        amounts = [self.amount(f"month_spend_{CATEGORIES[name]}") for name in categories or CATEGORIES]
        return None if categories and not all(amounts) else sum(amounts)
