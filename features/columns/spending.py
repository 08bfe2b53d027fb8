"""What a client spends by card: totals, categories, mean bill."""

from features.categories import CATEGORIES
from features.columns import FeatureColumn

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
