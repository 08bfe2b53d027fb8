"""Who a client is to the bank: the clients row, products held, and how well each product fits."""

from collections.abc import Mapping

import ibis
import pandas as pd
from ibis.expr.types import NumericValue, Table

from features.columns import FeatureColumn
from features.tables import PRODUCTS
from features.windows import attach, moments_of

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

AFFINITY: Mapping[str, tuple[str, ...]] = {
    "Депозит Сберегательный": ("idle_balance_months",),
    "Кредит наличными": ("debt_to_inflow_90d",),
    "Карта для путешествий": ("share_travel_90d", "share_taxi_90d", "share_hotels_90d"),
    "Карта для геймеров": ("share_play_at_home_90d", "share_watch_at_home_90d", "share_cinema_90d"),
    "Карта с кэшбэком на все": ("share_beyond_top3_90d",),
    "Карта с кэшбэком на топ-3 категории": ("share_top3_90d",),
    "Премиальная карта": ("share_jewellery_90d", "share_beauty_90d", "share_restaurants_90d"),
    "Мультивалютный счет": ("fx_to_outflow_90d",),
    "Карта с бесплатными переводами": ("p2p_to_outflow_90d",),
    "Ипотека": ("share_home_repair_90d", "share_furniture_90d"),
}
"""Columns whose sum says how much a client does of what the product rewards."""

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


def client_facts(clients: Table) -> Table:
    """`CLIENT_FACTS` by client_code, from the clients table."""
    return clients.select(
        "client_code",
        "status",
        "city",
        avg_monthly_balance_KZT=clients.avg_monthly_balance_KZT.cast("float64"),
        age=clients.age.cast("int64"),
    )


def accepted_before(product_uptake: Table, moments: Table) -> Table:
    """client_code, as_of and product of every offer that was accepted before a moment."""
    taken = product_uptake.filter(product_uptake.accepted == 1).select("client_code", "product", "offered_at")
    pairs = moments.join(taken, ["client_code", taken.offered_at < moments.as_of])
    return pairs.select("client_code", "as_of", "product")


def holdings(product_uptake: Table, spine: Table) -> Table:
    """Products that a client accepted before each as_of: `HOLDING_COLUMNS`, one row per distinct (client_code, as_of)."""
    moments = moments_of(spine)
    pairs = accepted_before(product_uptake, moments)
    held = pairs.group_by("client_code", "as_of").agg(
        **{f"holds_{slug}": (pairs["product"] == name).cast("int8").max() for name, slug in PRODUCT_SLUGS.items()},
        holdings_count=pairs["product"].nunique(),
    )
    wide = attach(moments, held)
    return wide.mutate(**{column.name: wide[column.name].fill_null(0) for column in HOLDING_COLUMNS})


def product_affinity(rows: Table) -> NumericValue:
    """Affinity of each row to its `product`: the sum of the columns that `AFFINITY` names for it."""
    cases = [(rows["product"] == product, _total(rows, names)) for product, names in AFFINITY.items()]
    return ibis.cases(*cases, else_=ibis.null("float64"))


def _total(rows: Table, names: tuple[str, ...]) -> NumericValue:
    total = rows[names[0]]
    for name in names[1:]:
        total = total + rows[name]
    return total


def with_products(rows: pd.DataFrame) -> pd.DataFrame:
    """Every row of a client once per product, with `PRODUCT_COLUMNS`: what serving scores.

    Args:
        rows: columns of the online set "recommendation", one row per client.

    Returns:
        len(rows) × number of products, products in catalogue order within a client; the same bits as in training.
    """
    parts = []
    for product, names in AFFINITY.items():
        affinity = rows[names[0]].astype("float64")
        for name in names[1:]:
            affinity = affinity + rows[name].astype("float64")
        parts.append(rows.assign(product=product, product_affinity=affinity))
    return pd.concat(parts).sort_index(kind="stable").reset_index(drop=True)
