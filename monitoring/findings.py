"""What is wrong with the rows of a window apart from drift: findings in words, each with a name for the column and the kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import numpy as np
import pandas as pd

from monitoring.chance import chance_of_all
from monitoring.columns import WASSERSTEIN, ColumnPair, is_number, shown
from monitoring.dependence import independent_rows
from registry.encoding import FEWEST_PER_VALUE

Kind = Literal["absent", "type", "empty", "constant", "range", "categories", "unknown", "clock", "stale", "window", "surge"]
BROKEN: tuple[Kind, ...] = ("absent", "type", "empty", "constant")
"""Kinds that point to a broken source rather than to a changed world."""
_LEAST_OUTSIDE = 0.05
_LEAST_UNSEEN = 0.01


@dataclass(frozen=True)
class Finding:
    """One thing that whoever answers for the data should look at; `column` is None where it concerns whole rows."""

    kind: Kind
    column: str | None
    sentence: str


def schema_findings(reference: pd.DataFrame, current: pd.DataFrame, names: Sequence[str]) -> list[Finding]:
    """Columns that the window lacks, that the reference lacks, or whose values have become text or ceased to be it."""
    found = [
        Finding("absent", name, f"{name} is not journalled any more: it counts as missing")
        for name in names
        if name in reference and name not in current and reference[name].notna().any()
    ]
    for name in names:
        sides = [frame[name].dropna() for frame in (reference, current) if name in frame]
        if len(sides) == 2 and all(len(side) for side in sides) and is_number(sides[0]) != is_number(sides[1]):
            before, after = ("numbers" if is_number(side) else "texts" for side in sides)
            found.append(Finding("type", name, f"{name} holds {after}, in the reference {before}: check who sends it"))
    unknown = sorted(set(current.columns) - set(names))
    if unknown:
        found.append(Finding("unknown", None, f"the model does not know {', '.join(unknown)}: journalled, not compared"))
    return found


def column_findings(pair: ColumnPair, window: pd.DataFrame, level: float) -> list[Finding]:
    """What the values of one column show; chance alone gives each kind of finding with probability `level` at most.

    Args:
        pair: the column.
        window: the rows of its current side. Where they have a column `registry.scorer.CLUSTER`, those of one client are no
            more than one event: a single caller who repeats a payment a hundred times breaks no source.
    """
    if not len(pair.reference):
        return []
    if not len(pair.current):
        return _empty(pair, window, level)
    found = [_constant(pair, window, level), _categories(pair, window, level)]
    if pair.method == WASSERSTEIN:
        found.append(_range(pair, window, level))
    return [finding for finding in found if finding is not None]


def clock_findings(future: int, until: datetime) -> list[Finding]:
    """Rows that lie after `until`, the present: the clocks of the services differ."""
    if not future:
        return []
    return [
        Finding("clock", None, f"{future:,} rows lie after {until:%Y-%m-%d %H:%M} UTC and were left out: check the clocks (NTP)")
    ]


def staleness_findings(as_of: datetime | None, until: datetime, limit: timedelta) -> list[Finding]:
    """Online features that describe a moment longer ago than `limit`; None = there are none, which is no finding."""
    if as_of is None or until - as_of <= limit:
        return []
    age = (until - as_of) / timedelta(days=1)
    return [
        Finding(
            "stale",
            None,
            f"the online features describe {as_of:%Y-%m-%d %H:%M} UTC, {age:.1f} days ago: ingest and publish (make pipeline)",
        )
    ]


def _empty(pair: ColumnPair, window: pd.DataFrame, level: float) -> list[Finding]:
    missing = sum(pair.rows) - len(pair.reference)
    if _chance_of_only(missing, independent_rows(window, pd.Series(True, index=window.index)), sum(pair.rows)) > level:
        return []
    return [Finding("empty", pair.name, f"every value of {pair.name} is missing")]


def _constant(pair: ColumnPair, window: pd.DataFrame, level: float) -> Finding | None:
    value, reference = pair.current[0], pair.reference
    if (pair.current != value).any() or (reference == reference[0]).all():
        return None
    equal = len(pair.current) + int((reference == value).sum())
    drawn = independent_rows(window, window[pair.name].notna())
    if _chance_of_only(equal, drawn, len(pair.reference) + len(pair.current)) > level:
        return None
    return Finding("constant", pair.name, f"{pair.name} has one value only, in the reference several: check who sends it")


def _chance_of_only(equal: int, drawn: int, known: int) -> float:
    """Probability that `drawn` rows of the `known` ones are all among `equal` given ones by chance."""
    places = np.arange(min(drawn, 10_000))  # already so many factors leave nothing of the probability, or one of 1
    return float(np.exp(np.log((equal - places) / (known - places)).sum())) if equal < known else 1.0


def _range(pair: ColumnPair, window: pd.DataFrame, level: float) -> Finding | None:
    low, high = pair.reference[0], pair.reference[-1]
    below, above = int(np.searchsorted(pair.current, low)), len(pair.current) - int(np.searchsorted(pair.current, high, "right"))
    share = (below + above) / len(pair.current)
    if share < _LEAST_OUTSIDE:
        return None
    numbers = pd.to_numeric(window[pair.name], errors="coerce")
    sides = [outside for count, outside in ((below, numbers < low), (above, numbers > high)) if count]
    if min(chance_of_all(independent_rows(window, outside), pair) for outside in sides) > level / 2:
        return None
    return Finding(
        "range", pair.name, f"{share:.1%} of {pair.name} lie outside {low:,.6g} to {high:,.6g}, all that the reference knows"
    )


def _categories(pair: ColumnPair, window: pd.DataFrame, level: float) -> Finding | None:
    if pair.unseen is None or pair.unseen.empty:
        return None
    enough = pair.unseen[pair.unseen >= _LEAST_UNSEEN * len(pair.current)]
    if enough.empty:
        return None
    hidden = min(pair.hidden, FEWEST_PER_VALUE - 1)  # so many rows of the reference may have this value without showing it
    texts = shown(pair, window[pair.name])
    new = [
        count
        for value, count in enough.items()
        if chance_of_all(independent_rows(window, texts == value), pair, hidden) <= level / len(pair.unseen)
    ]
    if not new:
        return None
    share = sum(new) / len(pair.current)
    return Finding("categories", pair.name, f"{len(new)} values of {pair.name} are new, in {share:.1%} of the rows")
