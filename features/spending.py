"""What a client spends by card: totals, categories, mean bill."""

import ibis
from ibis.expr.types import Table

from features.columns import FeatureColumn
from features.tables import CATEGORIES, in_tenge
from features.windows import attach, days_before, moments_of, recent, tenge, whole_units

DAYS = 90

CATEGORY_COLUMNS = tuple(
    FeatureColumn(
        f"spend_{slug}_{DAYS}d",
        "float64",
        f"Траты «{category}» за {DAYS} дней, ₸",
        f"Spending on {slug.replace('_', ' ')}, {DAYS} days, KZT",
        f"Sum of purchases of the category over {DAYS} days, tenge at configured rates",
    )
    for category, slug in CATEGORIES.items()
)
TOTAL_COLUMNS = (
    FeatureColumn(
        "spend_total_30d",
        "float64",
        "Траты за 30 дней, ₸",
        "Spending, 30 days, KZT",
        "Sum of purchases over 30 days, tenge at configured rates",
    ),
    FeatureColumn(
        "spend_total_90d",
        "float64",
        "Траты за 90 дней, ₸",
        "Spending, 90 days, KZT",
        "Sum of purchases over 90 days, tenge at configured rates",
    ),
    FeatureColumn(
        "purchase_count_30d", "int64", "Число покупок за 30 дней", "Purchases, 30 days", "Number of purchases over 30 days"
    ),
    FeatureColumn(
        "purchase_count_90d", "int64", "Число покупок за 90 дней", "Purchases, 90 days", "Number of purchases over 90 days"
    ),
    FeatureColumn(
        "mean_bill_90d",
        "float64",
        "Средний чек за 90 дней, ₸",
        "Mean bill, 90 days, KZT",
        "Spending over 90 days divided by the number of purchases; missing without purchases",
    ),
)
SHARE_COLUMNS = (
    *(
        FeatureColumn(
            f"share_{slug}_{DAYS}d",
            "float64",
            f"Доля трат «{category}» за {DAYS} дней",
            f"Share of spending on {slug.replace('_', ' ')}, {DAYS} days",
            f"Purchases of the category over all purchases of {DAYS} days, in tenge; 0 without purchases",
        )
        for category, slug in CATEGORIES.items()
    ),
    FeatureColumn(
        "share_top3_90d",
        "float64",
        "Доля трёх крупнейших категорий за 90 дней",
        "Share of the three largest categories, 90 days",
        "Purchases of the client's three largest categories over all purchases of 90 days; 0 without purchases",
    ),
    FeatureColumn(
        "share_beyond_top3_90d",
        "float64",
        "Доля остальных категорий за 90 дней",
        "Share beyond the three largest categories, 90 days",
        "What share_top3_90d leaves; 0 without purchases",
    ),
)


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
