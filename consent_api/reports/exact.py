"""Exact sums over the clients of a report: computed by the engine, checked against the bounds, never to be shown."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pandas as pd
from ibis.backends import BaseBackend
from ibis.backends.duckdb import Backend as DuckDB
from ibis.expr.types import Column, Table, Value

from consent_api.catalogue import EVERYBODY
from consent_api.privacy import PrivacyNotKept
from consent_api.reports.bounding import squares
from consent_api.reports.plan import Plan
from consent_api.reports.template import Measure, Vector

Exact = Mapping[str, Mapping[str, Vector]]
"""By segment and measure: sums of shape (cells, width), cells in the order of the plan's labels."""


@dataclass(frozen=True)
class _Bounded:
    """The columns of one measure of one data type in the table of bounded clients."""

    data_type: str
    measure: Measure

    @property
    def names(self) -> list[str]:
        return [f"{self.data_type}/{self.measure.name}/{number}" for number in range(self.measure.width)]

    @property
    def longest(self) -> str:
        """Column with the squared length of the longest vector."""
        return f"{self.data_type}/{self.measure.name}/longest"


def bounded(clients: Table, plans: Mapping[str, Plan]) -> Table:
    """The cells and bounded integers of each client of `contributions`; zeros where a data type does not count it."""
    segments = next(iter(plans.values())).segments
    lengths = {name: column for plan in plans.values() for name, column in plan.template.lengths(clients).items()}
    measured = clients.mutate(**lengths)
    return measured.select(*segments, **dict(_columns(measured, plans)))


def exact_sums(engine: BaseBackend, rows: Table, plans: Mapping[str, Plan]) -> dict[str, Exact]:
    """Add the rows of `bounded` up on `engine`, by data type.

    Raises:
        PrivacyNotKept: a client's figures are larger than the bounds that the noise is made for.
    """
    every = [_Bounded(data_type, measure) for data_type, plan in plans.items() for measure in plan.template.measures]
    segments = list(next(iter(plans.values())).segments)
    sums: dict[str, Value] = {}
    for each in every:
        sums |= {name: rows[name].sum() for name in each.names}
        sums[each.longest] = squares([rows[name] for name in each.names]).max()
    with _planned_simply(engine):
        frame: pd.DataFrame = engine.to_pandas(rows.group_by(segments).agg(**sums))
    _require_bounds(frame, every)
    return {
        data_type: {
            segment: _cells(frame, [each for each in every if each.data_type == data_type], plan, segment)
            for segment in plan.segment_shares
        }
        for data_type, plan in plans.items()
    }


@contextmanager
def _planned_simply(engine: BaseBackend) -> Iterator[None]:
    """Keep DuckDB from trying to move the hundreds of sums below the joins: it takes half a second, and gains nothing."""
    if not isinstance(engine, DuckDB):
        yield
        return
    before = engine.raw_sql("SELECT current_setting('disabled_optimizers')").fetchall()[0][0]
    engine.raw_sql(f"SET disabled_optimizers='{before},partial_aggregate_pushdown'")
    try:
        yield
    finally:
        engine.raw_sql(f"SET disabled_optimizers='{before}'")


def _columns(clients: Table, plans: Mapping[str, Plan]) -> Iterator[tuple[str, Column]]:
    for data_type, plan in plans.items():
        by_measure = plan.template.columns(clients)
        for measure in plan.template.measures:
            for name, column in zip(_Bounded(data_type, measure).names, by_measure[measure.name], strict=True):
                yield name, column * clients[data_type].cast("int64")


def _require_bounds(frame: pd.DataFrame, every: list[_Bounded]) -> None:
    for each in every:
        longest = frame[each.longest].max() if len(frame) else 0
        if not longest <= each.measure.sensitivity_squared:
            raise PrivacyNotKept(
                f"{each.data_type}: a client's {each.measure.name} exceed the bound that the noise is for: nothing is released"
            )


def _cells(frame: pd.DataFrame, every: list[_Bounded], plan: Plan, segment: str) -> dict[str, Vector]:
    cells = len(plan.labels(segment))
    names = [name for each in every for name in each.names]
    numbers = frame[names].astype("int64")
    keys = pd.Series(0, index=frame.index) if segment == EVERYBODY else frame[segment].astype("int64")
    sums = numbers.groupby(keys).sum().reindex(range(cells), fill_value=0)
    return {each.measure.name: sums[each.names].to_numpy() for each in every}
