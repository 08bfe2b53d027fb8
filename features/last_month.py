"""What a client did in the newest full calendar month: what a push text may speak of."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import ibis
from ibis.expr.types import Table

from features.categories import CATEGORIES
from features.tables import TABLES, in_tenge
from features.windows import attach, tenge, whole_units
from settings import settings

MONTH = "month"
LAST_MONTH = "last_month"
"""Name of the online set."""


def last_month(tables: Mapping[str, Table], as_of: datetime) -> Table:
    """Purchases by category, currency exchanged and transfers to people in the last calendar month that ended by `as_of`.

    Args:
        tables: raw tables by name; transactions and transfers that are not there count as empty.
        as_of: a moment with a time zone, or in UTC without one.

    Returns:
        client_code, as_of, month (`2025-12`), month_spend_<slug>, month_fx and month_p2p in tenge at the configured rates; one
        row per client with any purchase or transfer in the month.
    """
    moment = as_of.astimezone(UTC).replace(tzinfo=None) if as_of.tzinfo else as_of
    end = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    start = (end - timedelta(days=1)).replace(day=1)
    known = {name: tables[name] if name in tables else ibis.memtable([], schema=TABLES[name].schema) for name in _EVENTS}
    spent, moved = (_units(events.filter(events.date >= start, events.date < end)) for events in known.values())
    sums = {f"month_spend_{slug}": spent.units.sum(where=spent.category == name) for name, slug in CATEGORIES.items()}
    spending = spent.group_by("client_code").agg(**sums)
    moving = moved.group_by("client_code").agg(
        month_fx=moved.units.sum(where=moved.type.isin(("fx_buy", "fx_sell"))),
        month_p2p=moved.units.sum(where=moved.type == "p2p_out"),
    )
    clients = ibis.union(spending.select("client_code"), moving.select("client_code"), distinct=True)
    wide = attach(attach(clients, spending, ["client_code"]), moving, ["client_code"])
    amounts = [*sums, "month_fx", "month_p2p"]
    return wide.select(
        "client_code",
        as_of=ibis.timestamp(moment),
        **{MONTH: ibis.literal(f"{start:%Y-%m}")},
        **{name: tenge(wide[name]) for name in amounts},
    )


_EVENTS = ("transactions", "transfers")


def _units(events: Table) -> Table:
    return events.mutate(units=whole_units(in_tenge(events.amount, events.currency, settings().exchange_rates)))
