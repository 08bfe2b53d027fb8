"""What payments alone tell: amount and time, and the velocity and known fraud of clients and destinations."""

import ibis
from ibis.expr.types import Table

from features.columns.payments import WINDOWS
from features.windows import attach, moments_of, seconds_between, tenge, trailing_sums, whole_units

_KEYS = {"client": "client_code", "destination": "destination_id"}


def own_facts(payments: Table) -> Table:
    """The payment's own amount, hour and weekday, added to a spine with `amount` and `as_of`."""
    return payments.mutate(
        amount=payments.amount.cast("float64"),
        hour=payments.as_of.hour().cast("int64"),
        weekday=payments.as_of.day_of_week.index().cast("int64"),
    )


def velocity(payments: Table, labels: Table, spine: Table, entity: str) -> Table:
    """Counts, sums, investigated payments and share of fraud of an entity over 1, 7 and 30 days before each as_of.

    A label counts from the moment it is reported: with a constant delay d the share equals the Fraud Detection
    Handbook's delayed window (chapter 3, "terminal risk") with its delay set to d.

    Args:
        payments: `features.tables.PAYMENTS`.
        labels: `features.tables.FRAUD_LABELS`.
        spine: the entity's key and as_of.
        entity: "client" or "destination".

    Returns:
        One row per distinct (key, as_of) of the spine.
    """
    key = _KEYS[entity]
    moments = moments_of(spine, key)
    sums = trailing_sums(_happenings(payments, labels, key), moments, key, WINDOWS)
    measured = {}
    for days in WINDOWS:
        measured[f"{entity}_payments_{days}d"] = sums[f"payments_{days}d"]
        measured[f"{entity}_amount_{days}d"] = tenge(sums[f"units_{days}d"])
        measured[f"{entity}_labels_{days}d"] = sums[f"labels_{days}d"]
        measured[f"{entity}_fraud_share_{days}d"] = sums[f"frauds_{days}d"] / sums[f"labels_{days}d"].nullif(0)
    wide = sums.select(key, "as_of", **measured)
    return attach(wide, first_payment(payments, moments, (key,), entity), (key, "as_of"))


def first_payment(payments: Table, spine: Table, keys: tuple[str, ...], entity: str) -> Table:
    """Seconds since the first payment of `keys`, where there was one before as_of.

    Returns:
        At most one row per distinct (keys, as_of) of the spine: `<entity>_seconds_since_first_payment`.
    """
    first = payments.group_by(*keys).agg(first_at=payments.ts.min())
    met = spine.select(*keys, "as_of").distinct().join(first, list(keys))
    met = met.filter(met.first_at < met.as_of)
    elapsed = seconds_between(met.first_at, met.as_of).cast("float64")
    return met.select(*keys, "as_of", **{f"{entity}_seconds_since_first_payment": elapsed})


def _happenings(payments: Table, labels: Table, key: str) -> Table:
    zero, one = ibis.literal(0, "int64"), ibis.literal(1, "int64")
    made = payments.select(key, at=payments.ts, payments=one, units=whole_units(payments.amount), labels=zero, frauds=zero)
    told = labels.join(payments.select("transaction_id", "ts", key), "transaction_id")
    # A label older than its payment would tell of a payment that has not happened yet.
    told = told.filter(told.reported_at >= told.ts)
    known = told.select(key, at=told.reported_at, payments=zero, units=zero, labels=one, frauds=told.is_fraud.cast("int64"))
    return ibis.union(made, known)
