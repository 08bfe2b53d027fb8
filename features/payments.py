"""What payments alone tell: amount and time, and the velocity and known fraud of clients and destinations."""

import ibis
from ibis.expr.types import Table

from features.columns import FeatureColumn
from features.windows import attach, moments_of, seconds_between, tenge, trailing_sums, whole_units

WINDOWS = (1, 7, 30)
_ENTITIES = {
    "client": ("client_code", "клиента", "of the client"),
    "destination": ("destination_id", "получателя", "to the destination"),
}


def _days_ru(days: int) -> str:
    return f"{days} день" if days == 1 else f"{days} дней"


def _velocity_columns(entity: str) -> tuple[FeatureColumn, ...]:
    _, ru, en = _ENTITIES[entity]
    columns = []
    for days in WINDOWS:
        span_ru, span_en = _days_ru(days), "1 day" if days == 1 else f"{days} days"
        columns += [
            FeatureColumn(
                f"{entity}_payments_{days}d",
                "int64",
                f"Число платежей {ru} за {span_ru}",
                f"Payments {en}, {span_en}",
                f"Number of payments {en} over {span_en} before the moment",
            ),
            FeatureColumn(
                f"{entity}_amount_{days}d",
                "float64",
                f"Сумма платежей {ru} за {span_ru}, ₸",
                f"Amount of payments {en}, {span_en}, KZT",
                f"Sum of payments {en} over {span_en} before the moment",
            ),
            FeatureColumn(
                f"{entity}_labels_{days}d",
                "int64",
                f"Число проверенных платежей {ru} за {span_ru}",
                f"Investigated payments {en}, {span_en}",
                f"Number of payments {en} whose label was reported in the {span_en} before the moment",
            ),
            FeatureColumn(
                f"{entity}_fraud_share_{days}d",
                "float64",
                f"Доля мошенничества среди проверенных платежей {ru} за {span_ru}",
                f"Share of fraud among investigated payments {en}, {span_en}",
                f"Mean of the labels reported in the {span_en} before the moment; missing when none was",
            ),
        ]
    return tuple(columns)


def _first_seen_column(entity: str, ru: str, en: str) -> FeatureColumn:
    return FeatureColumn(
        f"{entity}_seconds_since_first_payment",
        "float64",
        f"Время с первого платежа {ru}, с",
        f"Seconds since the first payment {en}",
        f"Seconds from the first payment {en} to the moment; missing before it",
        course="grows",
    )


AMOUNT_COLUMNS = (
    FeatureColumn("amount", "float64", "Сумма платежа, ₸", "Amount, KZT", "Amount of the payment"),
    FeatureColumn("hour", "int64", "Час платежа", "Hour", "Hour of the day, 0 to 23, UTC"),
    FeatureColumn("weekday", "int64", "День недели", "Day of the week", "0 = Monday … 6 = Sunday, UTC", course="cycles"),
)
CLIENT_COLUMNS = (*_velocity_columns("client"), _first_seen_column("client", "клиента", "of the client"))
DESTINATION_COLUMNS = (
    *_velocity_columns("destination"),
    _first_seen_column("destination", "этому получателю", "to the destination"),
    _first_seen_column("pair", "клиента этому получателю", "of the client to the destination"),
)


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
    key = _ENTITIES[entity][0]
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
