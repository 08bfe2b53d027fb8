"""Who a client is to the bank: the clients row, products held, and how well each product fits."""

from features.code_lists import PRODUCTS
from features.columns import FeatureColumn

PRODUCT_SLUGS = dict(
    zip(
        PRODUCTS,
        (
            "deposit",
            "cash_loan",
            "travel_card",
            "gamer_card",
            "cashback_card",
            "top3_card",
            "premium_card",
            "multicurrency",
            "free_transfers_card",
            "mortgage",
        ),
        strict=True,
    )
)
"""Product → the slug used in column names."""

CLIENT_FACTS = (
    FeatureColumn(
        "avg_monthly_balance_KZT",
        "float64",
        "Средний остаток в месяц, ₸",
        "Average monthly balance, KZT",
        "Average monthly balance from the clients table",
    ),
    FeatureColumn("status", "string", "Статус клиента", "Client status", "Status from the clients table"),
    FeatureColumn("age", "int64", "Возраст", "Age", "Age in years from the clients table", protected=True),
    FeatureColumn("city", "string", "Город", "City", "City from the clients table"),
)
HOLDING_COLUMNS = (
    *(
        FeatureColumn(
            f"holds_{slug}",
            "int8",
            f"Есть продукт «{product}»",
            f"Holds: {slug.replace('_', ' ')}",
            "1 when the client accepted the product before the moment",
        )
        for product, slug in PRODUCT_SLUGS.items()
    ),
    FeatureColumn(
        "holdings_count", "int64", "Число продуктов у клиента", "Products held", "Number of products accepted before the moment"
    ),
)
PRODUCT_COLUMNS = (
    FeatureColumn("product", "string", "Продукт", "Product", "The product that is offered"),
    FeatureColumn(
        "product_affinity",
        "float64",
        "Насколько клиенту подходит продукт",
        "Affinity to the product",
        "How much the client does of what the product rewards; the unit is the product's own (features.holdings.AFFINITY)",
    ),
)
