"""What a client has spent in the newest twelve full calendar months, as the client itself is shown it."""

from collections.abc import Mapping
from datetime import UTC, datetime

import ibis
from ibis.expr.types import Table

from features.categories import CATEGORIES
from features.own_spending import MONTHS, month_start
from features.tables import TABLES, in_tenge
from features.windows import tenge, whole_units


def spending_year(tables: Mapping[str, Table], as_of: datetime, rates: Mapping[str, float]) -> Table:
    """Purchases by month and by public category, in tenge, of the twelve calendar months that ended by `as_of`.

    Args:
        tables: raw tables by name; transactions that are not there count as none.
        as_of: a moment with a time zone, or in UTC without one.
        rates: tenge per unit of each currency.

    Returns:
        client_code, as_of, purchases (count), month_1 (the newest) … month_12 and year_<slug> by category; one row per client
        with any purchase.
    """
    moment = as_of.astimezone(UTC) if as_of.tzinfo else as_of.replace(tzinfo=UTC)
    borders = [month_start(moment, ago).replace(tzinfo=None) for ago in range(MONTHS + 1)]
    events = tables.get("transactions", ibis.memtable([], schema=TABLES["transactions"].schema))
    within = events.filter(events.date >= borders[-1], events.date < borders[0])
    spent = within.mutate(units=whole_units(in_tenge(within.amount, within.currency, dict(rates))))
    months = {
        f"month_{ago}": spent.units.sum(where=(spent.date >= borders[ago]) & (spent.date < borders[ago - 1]))
        for ago in range(1, MONTHS + 1)
    }
    categories = {f"year_{slug}": spent.units.sum(where=spent.category == name) for name, slug in CATEGORIES.items()}
    wide = spent.group_by("client_code").agg(purchases=spent.count(), **months, **categories)
    sums = {name: tenge(wide[name]) for name in (*months, *categories)}
    return wide.select("client_code", "purchases", as_of=ibis.timestamp(moment.replace(tzinfo=None)), **sums)
