"""Time windows before a moment: which events a feature may see, and fast sums over them.

Every window of N days is [as_of − N days, as_of): nothing at or after `as_of` is ever seen. All functions use only
what DuckDB and Spark both have, so that one expression runs on either (see docs/decisions/003-spine.md).
"""

from collections.abc import Sequence

import ibis
from ibis.expr.types import IntegerValue, NumericValue, Table, TimestampValue, Value

EPOCH = ibis.timestamp("1970-01-01 00:00:00")
MOMENT = "timestamp(6)"
UNITS = 10_000
"""Money is added up in ten-thousandths of a tenge: amounts and rates have two decimals each."""


def moments_of(spine: Table, key: str = "client_code") -> Table:
    """The distinct (`key`, as_of) pairs of a spine: what a feature has to be computed for."""
    return spine.select(key, "as_of").distinct()


def days_before(moment: Value, days: int) -> TimestampValue:
    """`moment` minus `days` times 24 hours."""
    return moment - ibis.interval(days=days)


def day_number(moment: Value) -> IntegerValue:
    """Whole days since 1970-01-01."""
    return moment.delta(EPOCH, unit="day")


def seconds_between(start: Value, end: Value) -> IntegerValue:
    """Seconds from `start` to `end`, both cut to whole seconds."""
    return end.delta(start, unit="second")


def whole_units(amount: Value) -> IntegerValue:
    """An amount in tenge as a whole number of units (see `UNITS`).

    Sums of whole numbers do not depend on the order of the rows, so a feature has the same bits in every run, on any
    number of threads; sums of floats do not.
    """
    return (amount.cast("float64") * UNITS).round().cast("int64")


def tenge(units: NumericValue) -> NumericValue:
    """A sum of units as tenge; no rows = 0."""
    return units.cast("float64").fill_null(0.0) / UNITS


def sample_variance(count: Value, total: Value, squares: Value) -> NumericValue:
    """Variance (n − 1) from the count, the sum and the sum of squares of whole numbers; null below two of them."""
    n, sum1, sum2 = count.cast("float64"), total.cast("float64"), squares.cast("float64")
    return ibis.greatest(n * sum2 - sum1 * sum1, 0.0) / (n * (n - 1)).nullif(0.0)


def recent(events: Table, moments: Table, time: str, days: int, key: str = "client_code") -> Table:
    """The events of each moment's `key` in [as_of − `days`, as_of): columns of `moments` and of `events`.

    Events are joined by key and by stretches of `days` days (a window touches two of them), so that the work grows
    with the events inside the windows and not with the length of the history.
    """
    stretch = day_number(moments.as_of) // days
    touched = ibis.union(moments.mutate(stretch=stretch), moments.mutate(stretch=stretch - 1))
    numbered = events.mutate(stretch=day_number(events[time]) // days)
    pairs = touched.join(numbered, [key, "stretch"]).drop("stretch")
    return pairs.filter(pairs[time] < pairs.as_of, pairs[time] >= days_before(pairs.as_of, days))


def trailing_sums(events: Table, moments: Table, key: str, days: Sequence[int]) -> Table:
    """Sums of each measure over the last N `days` before each moment.

    Running sums per `key` are read at as_of and at as_of − N days; the difference is the window. That is one sort
    however many events a key has: a destination with a hundred thousand payments costs no more than its share.

    Args:
        events: `key`, `at` (timestamp) and whole-number measures without nulls.
        moments: `key` and `as_of`, distinct.
        key: column of the entity.
        days: lengths of the windows.

    Returns:
        One row per moment: `key`, `as_of`, `<measure>_<N>d` (int64).
    """
    measures = [name for name in events.columns if name not in (key, "at")]
    zeros = {name: ibis.literal(0, "int64") for name in measures}
    probes = [
        moments.select(
            key,
            as_of=moments.as_of.cast(MOMENT),
            at=days_before(moments.as_of, back).cast(MOMENT),
            back=ibis.literal(back, "int16"),
            **zeros,
        )
        for back in (0, *days)
    ]
    happened = events.select(
        key,
        as_of=ibis.null(MOMENT),
        at=events["at"].cast(MOMENT),
        back=ibis.null("int16"),
        **{name: events[name].cast("int64") for name in measures},
    )
    rows = ibis.union(happened, *probes)
    # At the same instant a probe comes first: it does not see what happens at its own moment.
    order = [rows["at"], rows.back.isnull().cast("int8")]
    running = rows.select(
        key, "as_of", "back", **{name: rows[name].sum().over(group_by=key, order_by=order, rows=(None, 0)) for name in measures}
    )
    read = running.filter(running.back.notnull())
    windows = {
        f"{name}_{length}d": (read[name].max(where=read.back == 0) - read[name].max(where=read.back == length)).cast("int64")
        for name in measures
        for length in days
    }
    return read.group_by(key, "as_of").agg(**windows)


def attach(spine: Table, features: Table, on: Sequence[str] = ("client_code", "as_of")) -> Table:
    """`spine` with the columns of `features`, which has at most one row per `on`."""
    new = [name for name in features.columns if name not in spine.columns]
    return spine.left_join(features, list(on)).select(*spine.columns, *new)
