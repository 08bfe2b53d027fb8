"""Dates as numbers that trees can cut: days, and the parts of the calendar that vary."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

DAYS, BEFORE, MONTH, WEEKDAY, HOUR = "days", "days before", "month", "weekday", "hour"
_YEAR = 365
_SECONDS_A_DAY = 86_400
_EPOCH = pd.Timestamp(0).as_unit("us")
"""In nanoseconds neither 0001-01-01 nor 9999-12-31 would fit, by which many a system says "never"."""


def learn_parts(frame: pd.DataFrame, dates: Sequence[str], time: str | None) -> dict[str, list[str]]:
    """Which parts of each of the columns `dates` are worth learning from.

    Of the time by which rows are ordered only what comes again: the day itself never will. The month pays from a year on.
    """
    parts: dict[str, list[str]] = {}
    for name in dates:
        moments = frame[name].dropna()
        wanted = [] if name == time else [DAYS]
        if time and name != time and pd.api.types.is_datetime64_any_dtype(frame[time].dtype):
            wanted.append(BEFORE)
        if len(moments) and (moments.max() - moments.min()).days >= _YEAR:
            wanted.append(MONTH)
        if moments.dt.weekday.nunique() > 1:
            wanted.append(WEEKDAY)
        if moments.dt.hour.nunique() > 1:
            wanted.append(HOUR)
        parts[name] = wanted
    return parts


def part_name(column: str, part: str, time: str | None) -> str:
    """Name of the feature: days stand under the name of the date itself."""
    if part == DAYS:
        return column
    return f"{column}: {part} {time}" if part == BEFORE else f"{column}: {part}"


def date_features(frame: pd.DataFrame, parts: Mapping[str, Sequence[str]], time: str | None) -> dict[str, np.ndarray]:
    """The features of all dates in float64, NaN where a date is missing: days since 1970, months 1–12, weekdays 1–7, hours."""
    features: dict[str, np.ndarray] = {}
    for column, wanted in parts.items():
        for part in wanted:
            features[part_name(column, part, time)] = _part(frame, column, part, time)
    return features


def _part(frame: pd.DataFrame, column: str, part: str, time: str | None) -> np.ndarray:
    moments = frame[column].dt
    if part == MONTH:
        values = moments.month
    elif part == WEEKDAY:
        values = moments.weekday + 1
    elif part == HOUR:
        values = moments.hour
    else:
        until, since = (frame[time], frame[column]) if part == BEFORE and time else (frame[column], _EPOCH)
        values = (until - since).dt.total_seconds() / _SECONDS_A_DAY
    return values.to_numpy(dtype="float64", na_value=np.nan)
