"""The bank's exports day by day: what it has sent before a first day, and then the files of each day."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.tables import TABLES
from simulator.chunk import DELAY, DIRT, Chunk, simulate_chunk
from simulator.config import SimulationConfig
from simulator.dialects import write
from simulator.dirt import soil
from simulator.fraud import Labels, late_labels
from simulator.sampling import DAY, Ints, stream
from simulator.seasons import Timing, calendar
from simulator.shifts import FIRST_DAY, NewCity, Shift
from simulator.world import build_world

LABEL_DAYS = (30.0, 120.0)
"""How long after a payment its verdict comes, and after the beginning of a month a verified income, in days."""
_MOMENTS = {
    "transactions": "date", "transfers": "date", "sessions": "started_at", "payments": "ts", "fraud_labels": "reported_at",
    "applications": "created_at", "product_uptake": "offered_at",
}  # fmt: skip
"""The column by which a row is exported on its day; clients come when they join, verified incomes when they are verified."""


@dataclass(frozen=True)
class _Export:
    """Rows of one table of one chunk in the order of the days on which they are sent; `days` counts from 1970-01-01."""

    chunk: int
    rows: pa.Table
    days: Ints

    def between(self, first: int, end: int) -> pa.Table:
        start, stop = np.searchsorted(self.days, (first, end))
        return self.rows.slice(start, stop - start)


class DailyExports:
    """A bank whose tables are sent day by day, and the truth about it.

    Args:
        config: size, months, last day and seed of the bank; it is made in memory.
        shift: what changes in its life; None = nothing.
        tables: names of the raw tables that are wanted.
    """

    def __init__(self, config: SimulationConfig, shift: Shift | None, tables: tuple[str, ...]) -> None:
        self._config = config
        self._chunks = [replace(chunk, labels=_late(chunk)) for chunk in _chunks(config, shift)]
        joins = {chunk.number: config.start for chunk in self._chunks}
        if isinstance(shift, NewCity):
            joins[self._chunks[-1].number] = shift.onset
        self._exports = {
            name: [_export(chunk, joins[chunk.number], name, rows) for chunk, rows in self._tables(name, shift)]
            for name in tables
        }

    def before(self, day: date, folder: Path) -> Mapping[str, Path]:
        """Write everything that was sent before `day`, a file a table; returns table → file."""
        return self._written((self._config.start - FIRST_DAY).days - 62, (day - FIRST_DAY).days, folder)

    def of(self, day: date, folder: Path) -> Mapping[str, Path]:
        """Write what is sent at the end of `day`; a table without rows on that day has no file."""
        number = (day - FIRST_DAY).days
        return self._written(number, number + 1, folder)

    def sent(self, name: str, day: date) -> pa.Table:
        """The rows of a table that are sent at the end of `day`, before anything goes wrong with them; texts."""
        number = (day - FIRST_DAY).days
        return pa.concat_tables([one.between(number, number + 1) for one in self._exports[name]])

    def truth(self, name: str) -> pa.Table:
        """What no real bank knows, as in the truth files of `simulate`: "payments" or "incomes"."""
        return pa.concat_tables([table for chunk in self._chunks for title, table in chunk.truth() if title == name])

    def _tables(self, wanted: str, shift: Shift | None) -> Iterator[tuple[Chunk, pa.Table]]:
        for chunk in self._chunks:
            rows = next(rows for name, rows in chunk.tables() if name == wanted)
            if wanted == "clients" and isinstance(shift, NewCity) and chunk is self._chunks[-1]:
                city = pa.array([shift.city] * len(rows), pa.string())
                rows = rows.set_column(rows.column_names.index("city"), "city", city)
            yield chunk, rows

    def _written(self, first: int, end: int, folder: Path) -> Mapping[str, Path]:
        folder.mkdir(parents=True, exist_ok=True)
        files = {}
        for name, exports in self._exports.items():
            sent = [self._soiled(name, one, first, end) for one in exports]
            rows = pa.concat_tables(sent).combine_chunks()  # the CSV writer gets an empty first chunk wrong
            if len(rows):
                files[name] = folder / f"{name}.csv"
                write(rows, name, files[name])
        return files

    def _soiled(self, name: str, export: _Export, first: int, end: int) -> pa.Table:
        rng = stream(self._config.seed, export.chunk, DIRT, list(TABLES).index(name), end)
        return soil(rng, export.between(first, end), name)[0]


def _chunks(config: SimulationConfig, shift: Shift | None) -> list[Chunk]:
    """The chunks of the bank as they turn out, and those who join it in the end."""
    days = calendar(config)
    world, timing = build_world(config.seed, days), Timing(days)
    sizes = [config.clients_of(number) for number in range(config.chunks)]
    if isinstance(shift, NewCity):
        sizes.append(max(1, round(shift.share * config.clients)))
    made, first = [], 0
    for number, size in enumerate(sizes):
        made.append(simulate_chunk(world, days, timing, config.seed, number, first, size))
        first += size
    if isinstance(shift, NewCity):
        made[-1] = _since(made[-1], shift.onset)
    return [chunk if shift is None else shift.changed(chunk) for chunk in made]


def _since(chunk: Chunk, onset: date) -> Chunk:
    """The chunk without the payments before a day, of which no verdict must come either."""
    later = np.flatnonzero(chunk.payments.moment >= (onset - FIRST_DAY).days * DAY)
    return replace(chunk, payments=chunk.payments.take(later))


def _late(chunk: Chunk) -> Labels:
    return late_labels(stream(chunk.seed, chunk.number, DELAY), chunk.calendar, chunk.payments, LABEL_DAYS)


def _export(chunk: Chunk, joined: date, name: str, rows: pa.Table) -> _Export:
    """The rows that a chunk sends from the day on which its clients join."""
    since = (joined - FIRST_DAY).days
    if name == "clients":
        return _Export(chunk.number, rows, np.full(len(rows), since))
    days = _verified(chunk) if name == "verified_incomes" else _days(rows[_MOMENTS[name]])
    order = np.argsort(days, kind="stable")
    order = order[np.searchsorted(days[order], since) :] if joined > chunk.calendar.start else order
    return _Export(chunk.number, rows.take(order), days[order])


def _days(moments: pa.ChunkedArray) -> Ints:
    seconds = pc.cast(pc.cast(moments, pa.timestamp("s")), pa.int64())
    return np.asarray(seconds.to_numpy() // DAY)


def _verified(chunk: Chunk) -> Ints:
    """The day on which each verified income is sent."""
    months = np.array([(month - FIRST_DAY).days for month in chunk.calendar.months])
    low, high = LABEL_DAYS
    delay = low + (high - low) * stream(chunk.seed, chunk.number, DELAY, 1).random(len(chunk.verified.month))
    return np.asarray(months[chunk.verified.month] + delay.astype(np.int64))
