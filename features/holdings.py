"""Who a client is to the bank: the clients row, products held, and how well each product fits."""

from collections.abc import Mapping

import ibis
import pandas as pd
from ibis.expr.types import NumericValue, Table

from features.columns.holdings import HOLDING_COLUMNS, PRODUCT_SLUGS
from features.windows import attach, moments_of

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
