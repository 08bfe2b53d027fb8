"""The facts that tariffs look at, from a client's profile and its features of the last 90 days."""

from collections.abc import Mapping
from typing import Any

from bentos.tariffs import Facts
from features.categories import CATEGORIES

_MONTHS = 3


def facts_of(profile: Mapping[str, Any], behaviour: Mapping[str, Any]) -> Facts:
    """Monthly means of the last 90 days; a value that is missing counts as 0.

    Income is the salary alone: withdrawn savings, refunds, exchanges and presents are nothing to repay a loan from.

    Args:
        profile: online set "profile".
        behaviour: online set "recommendation".
    """

    def monthly(*names: str) -> float:
        return sum(float(behaviour.get(name) or 0.0) for name in names) / _MONTHS

    spent = monthly("spend_total_90d")
    return Facts(
        spending={category: spent * float(behaviour.get(f"share_{slug}_90d") or 0.0) for category, slug in CATEGORIES.items()},
        balance=float(profile.get("avg_monthly_balance_KZT") or 0.0),
        income=monthly("salary_in_90d"),
        payments=monthly("debt_payments_90d"),
        outflow=max(0.0, spent + monthly("outflow_90d") - monthly("savings_90d")),
        exchanged=monthly("fx_volume_90d"),
        transferred=monthly("p2p_out_90d"),
    )
