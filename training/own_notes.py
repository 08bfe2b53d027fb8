"""What a user should know about the columns of a table before they trust a model of it, without any value of a row."""

from collections.abc import Iterator, Mapping

import pandas as pd

from features.wording import agreeing
from registry.encoding import FEWEST_PER_VALUE
from training.own_request import TableRequest
from training.table_columns import ColumnKind

_YEARS = 1900, 2200
"""Outside of these a date is rather a word than a day."""
_ZERO = pd.Timestamp(0)
_OFTEN = 0.01


def column_notes(request: TableRequest, frame: pd.DataFrame, kinds: Mapping[str, ColumnKind]) -> list[str]:
    """Sentences on dates that are none, a time that gives no order, and texts of which nothing can be learned.

    Args:
        request: what to learn.
        frame: the rows as they were read.
        kinds: of its columns.
    """
    aside = {request.target, request.group, request.id, *request.drop}
    dates = [name for name in frame.columns if kinds[name] == "date"]
    texts = [name for name in frame.columns if kinds[name] == "text" and name not in aside]
    return [*_far_dates(frame, dates), *_zero_dates(frame, dates), *_unordered(request, frame), *_unshared(frame, texts)]


def _far_dates(frame: pd.DataFrame, dates: list[str]) -> Iterator[str]:
    """Dates like 9999-12-31, by which many a system says "never"."""
    for name in dates:
        years = frame[name].dt.year
        far = int(((years < _YEARS[0]) | (years > _YEARS[1])).sum())
        if far:
            yield (
                f"column {name}: {far:,} of {frame[name].count():,} dates {agreeing(far, 'lies', 'lie')} before "
                f"{_YEARS[0]} or after {_YEARS[1]}, as 9999-12-31 does: where that stands for none, leave the cell empty"
            )


def _zero_dates(frame: pd.DataFrame, dates: list[str]) -> Iterator[str]:
    """The first moment of 1970, which a 0 becomes as a date; somebody may be born on that day, but not every hundredth."""
    for name in dates:
        zero = int((frame[name] == _ZERO).sum())
        if zero >= FEWEST_PER_VALUE and zero > _OFTEN * frame[name].count():
            yield (
                f"column {name}: {zero:,} of {frame[name].count():,} dates are 1970-01-01, as a lost one is written: where that "
                "stands for none, leave the cell empty"
            )


def _unordered(request: TableRequest, frame: pd.DataFrame) -> Iterator[str]:
    if request.time and frame[request.time].nunique() == 1:
        yield f"time column {request.time} is the same in all rows: it gives them no order, and they are cut at random"


def _unshared(frame: pd.DataFrame, texts: list[str]) -> Iterator[str]:
    """Texts that all count as missing since few rows share them (`registry.encoding`), unless each is another: that is an id."""
    for name in texts:
        counts = frame[name].value_counts()
        if 0 < len(counts) < frame[name].count() and counts.iloc[0] < FEWEST_PER_VALUE:
            yield (
                f"column {name}: none of its {len(counts):,} different texts is in {FEWEST_PER_VALUE} rows, so that all of them "
                "count as missing and nothing is learned from it"
            )
