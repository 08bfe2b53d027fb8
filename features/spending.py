"""What a client spends by card: totals, categories, mean bill."""

import ibis
from ibis.expr.types import Table

from features.categories import CATEGORIES
from features.columns.spending import DAYS
from features.tables import in_tenge
from features.windows import attach, days_before, moments_of, recent, tenge, whole_units


def spending(transactions: Table, spine: Table, rates: dict[str, float]) -> Table:
    """Spending before each as_of: `CATEGORY_COLUMNS` and `TOTAL_COLUMNS`.

    Args:
        transactions: card purchases (`features.tables.TRANSACTIONS`).
        spine: client_code and as_of.
        rates: tenge per unit of each currency.

    Returns:
        One row per distinct (client_code, as_of) of the spine; no purchases = zeros.
    """
    purchases = transactions.select(
        "client_code", "date", "category", units=whole_units(in_tenge(transactions.amount, transactions.currency, rates))
    )
    moments = moments_of(spine)
    pairs = recent(purchases, moments, "date", DAYS)
    late = pairs["date"] >= days_before(pairs.as_of, 30)
    sums = {f"spend_{slug}_{DAYS}d": pairs.units.sum(where=pairs.category == name) for name, slug in CATEGORIES.items()}
    sums |= {"spend_total_30d": pairs.units.sum(where=late), "spend_total_90d": pairs.units.sum()}
    counts = {"purchase_count_30d": pairs.count(where=late), "purchase_count_90d": pairs.count()}
    wide = attach(moments, pairs.group_by("client_code", "as_of").agg(**sums, **counts))
    wide = wide.mutate(**{name: tenge(wide[name]) for name in sums}, **{name: wide[name].fill_null(0) for name in counts})
    return wide.mutate(mean_bill_90d=wide.spend_total_90d / wide.purchase_count_90d.nullif(0))


def with_shares(spent: Table) -> Table:
    """A result of `spending` with `SHARE_COLUMNS` beside it."""
    amounts = [spent[f"spend_{slug}_{DAYS}d"] for slug in CATEGORIES.values()]
    ordered = ibis.array(amounts).sort()
    top3 = ordered[len(amounts) - 1] + ordered[len(amounts) - 2] + ordered[len(amounts) - 3]
    total = spent.spend_total_90d.nullif(0.0)
    return spent.mutate(
        **{
            f"share_{slug}_{DAYS}d": (amount / total).fill_null(0.0)
            for slug, amount in zip(CATEGORIES.values(), amounts, strict=True)
        },
        share_top3_90d=(top3 / total).fill_null(0.0),
        share_beyond_top3_90d=((spent.spend_total_90d - top3) / total).fill_null(0.0),
    )
