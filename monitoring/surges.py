"""What has become more frequent of late: the newest days of the journal against the days before them, value range by value range.

The drift report compares a month with what the model was trained on, and takes a distance of the whole distribution for drift. A
campaign that is one payment in fifty moves no distribution far, and yet it may be most of all fraud. So the share of the rows in
each range of each feature is charted by day, and the newest days are judged by the limits that the days before them give.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
import pandas as pd

from monitoring.columns import is_number

NEWEST_DAYS = 3
BEFORE_DAYS = 21
FEWEST_DAYS = 14
"""Days with rows before the newest ones, below which there are no limits to judge by."""
SIGMAS = 5.0
_FEWEST_A_DAY = 30
_QUANTILES = (0.005, 0.01, 0.025, 0.05, *np.arange(0.1, 0.95, 0.1).round(2).tolist(), 0.95, 0.975, 0.99, 0.995)
_MOST_VALUES = 30
_FEWEST_OF_VALUE = 10
"""Rows before the newest days with a text, below which it is not named: it could be a person's. Edges are rounded likewise."""


@dataclass(frozen=True)
class Surge:
    """One range of a feature that has become more frequent.

    Attributes:
        column: the feature.
        values: the range, in words.
        before, now: share of the rows in it, on the days before and on the newest ones.
        sigmas: how many standard deviations that is, as days differ from each other.
    """

    column: str
    values: str
    before: float
    now: float
    sigmas: float

    @property
    def sentence(self) -> str:
        """What happened, in words."""
        return (
            f"{self.column} {self.values}: {self.now:.1%} of the rows of the last {NEWEST_DAYS} days, {self.before:.1%} of those "
            f"of the {BEFORE_DAYS} days before"
        )


def surges(
    rows: pd.DataFrame, clients: pd.Series, moments: pd.Series, until: datetime, least: float, without: Collection[str] = ()
) -> list[Surge]:
    """The most surprising surge of each feature, the most surprising first; empty while there are too few days to judge by.

    A range has surged when its share of the newest rows exceeds that of the rows before by `least` and by five standard
    deviations, which are those of a binomial share or those of the days before, whichever are more: weekdays differ, and clients
    come in clusters; so a client counts once in three days. What had surged already three days ago is no news: a feature that
    grows with the calendar does so always.
    Source: Laney, Improved Control Charts for Attributes (2002), the p' chart.

    Args:
        rows: features of the journal's rows, of the 24 days before `until`.
        clients: who each row is about; missing = somebody else each time.
        moments: when each was scored (aware, UTC), in the order of `rows`.
        least: share of the rows by which a range has to have grown.
        without: features that are not judged.
    """
    age = ((pd.Timestamp(until) - moments).dt.total_seconds() // 86_400).astype("int64").to_numpy()
    within = (age >= 0) & (age < NEWEST_DAYS + BEFORE_DAYS) & _once(clients, age // NEWEST_DAYS)
    kept, age = rows[within], age[within]
    counted = np.bincount(age, minlength=NEWEST_DAYS + BEFORE_DAYS)
    if (counted[NEWEST_DAYS:] >= _FEWEST_A_DAY).sum() < FEWEST_DAYS or counted[:NEWEST_DAYS].sum() < _FEWEST_A_DAY:
        return []
    found = [_news(name, kept[name], age, least) for name in rows.columns if name not in without]
    return sorted((one for one in found if one is not None), key=lambda one: one.sigmas, reverse=True)


def _once(clients: pd.Series, stretch: np.ndarray) -> np.ndarray:
    """Which rows are the first of their client within a stretch of days."""
    repeated = pd.DataFrame({"client": clients.to_numpy(), "stretch": stretch}).duplicated().to_numpy()
    return np.asarray(~repeated | clients.isna().to_numpy())


def _news(name: str, values: pd.Series, age: np.ndarray, least: float) -> Surge | None:
    """The most surprising surge of one feature, unless it had surged three days ago."""
    found = _largest(name, values, age, least)
    if found is None:
        return None
    earlier = age >= NEWEST_DAYS
    return None if _largest(name, values[earlier], age[earlier] - NEWEST_DAYS, least) else found


def _largest(name: str, values: pd.Series, age: np.ndarray, least: float) -> Surge | None:
    """The most surprising surge of one feature in the rows that are less than three days old, by the others."""
    days = np.where(age < NEWEST_DAYS, -1, age - NEWEST_DAYS)
    counted = np.bincount(days[days >= 0], minlength=BEFORE_DAYS)
    places, titles = _ranges(values, days >= 0)
    kept = counted >= _FEWEST_A_DAY
    daily = np.zeros((len(counted), len(titles)))
    np.add.at(daily, (days[days >= 0], places[days >= 0]), 1)
    daily, sizes = daily[kept], counted[kept].astype(float)
    newest = np.bincount(places[days == -1], minlength=len(titles))
    total, size = sizes.sum(), float(newest.sum())
    before, now = daily.sum(axis=0) / total, newest / size
    rest = np.maximum(before, 1 / total)
    binomial = rest * (1 - np.minimum(rest, 1 - 1 / total))
    # How much more the days differ than a binomial share would: never less than one.
    spread = ((daily / sizes[:, None] - before) ** 2 * sizes[:, None]).sum(axis=0) / (len(sizes) - 1) / binomial
    sigmas = (now - before) / np.sqrt(binomial * np.maximum(spread, 1) * (1 / size + 1 / total))
    sigmas = np.where(now - before >= least, sigmas, 0.0)
    place = int(sigmas.argmax())
    if sigmas[place] < SIGMAS:
        return None
    return Surge(name, titles[place], float(before[place]), float(now[place]), float(sigmas[place]))


def _ranges(values: pd.Series, before: np.ndarray) -> tuple[np.ndarray, Sequence[str]]:
    """For each row the number of its range, and what the ranges are called; the last but one is missing, the last rare."""
    known = values.notna().to_numpy()
    learned = values[before & known]
    if not is_number(values) or learned.nunique() <= _MOST_VALUES:
        often = learned.value_counts()
        kinds = [str(value) for value in often[often >= _FEWEST_OF_VALUE].index[:_MOST_VALUES]]
        places = pd.Index(kinds, dtype=object).get_indexer(pd.Index(values.astype("object").map(str), dtype=object))
        titles = [f"= {kind}" for kind in kinds]
    else:
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype="float64")
        edges = np.unique(np.quantile(numbers[before & known], _QUANTILES))
        places = np.searchsorted(edges, numbers, side="left")
        shown = [f"{float(f'{edge:.3g}'):,.6g}" for edge in edges]
        titles = [
            f"up to {shown[0]}",
            *(f"above {low} up to {high}" for low, high in pairwise(shown)),
            f"above {shown[-1]}",
        ]
    places = np.where(known, np.where(places < 0, len(titles) + 1, places), len(titles))
    return places, [*titles, "missing", "rare or never seen before"]
