"""Reading the journal: windows and samples of scores as data frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import orjson
import pandas as pd
from sqlalchemy import BigInteger, ColumnElement, Connection, Text, func, literal_column, select

from monitoring.batches import features_of
from monitoring.rows import JOURNAL, LAYOUTS, OK

_EXPANDED = {"features": "feature_", "score": "prediction_", "decision": "decision_"}
IN_ORDER = JOURNAL.c.ts, JOURNAL.c.client_id, JOURNAL.c.score, JOURNAL.c.features, JOURNAL.c.score_id
"""Oldest first, rows of one moment by what they are and not by their random ids: what is computed of them is so again."""
_PRIME = 2**31 - 1  # so that the product stays within 64 bits


@dataclass(frozen=True)
class Sample:
    """At most so many rows of a window, as `window` lays them out, and how many the window holds."""

    frame: pd.DataFrame
    total: int


def window(connection: Connection, use_case: str, since: datetime, until: datetime) -> pd.DataFrame:
    """Every row of a use case with since ≤ ts < until, oldest first.

    Columns: the journal's own fields, and the JSON fields expanded: `feature_<name>`, `prediction_<output>`,
    `decision_<output>` (prefixed, since a feature may be called like a field, e.g. status).
    """
    query = select(JOURNAL).where(*_within(use_case, since, until)).order_by(*IN_ORDER)
    return expanded(connection, connection.execute(query).mappings().all())


def sample(
    connection: Connection, use_case: str, version: str | None, between: tuple[datetime, datetime], most: int, seed: int
) -> Sample:
    """At most `most` of the scores a model version, None = any, really gave (status ok, no simulations); the seed decides which.

    The database draws by a hash of every row, whatever its id looks like, and only the drawn rows are read as JSON. They come
    in the order of `IN_ORDER`.
    """
    within = *_within(use_case, *between), *_real(version)
    total = connection.execute(select(func.count()).select_from(JOURNAL).where(*within)).scalar_one()
    drawn = select(JOURNAL.c.score_id).where(*within).order_by(_hash(connection, seed), JOURNAL.c.score_id).limit(most)
    query = select(JOURNAL).where(JOURNAL.c.score_id.in_(drawn)).order_by(*IN_ORDER)
    return Sample(expanded(connection, connection.execute(query).mappings().all()), total)


def _hash(connection: Connection, seed: int) -> ColumnElement[int]:
    """A number of each row that the seed scatters, so that the rows with the least ones are a random sample.

    SQLite has no hash function: there it is (a × rowid + b) mod p, by which any two rows are drawn independently of each other.
    Source: Carter and Wegman, Universal Classes of Hash Functions (1979).
    """
    if connection.dialect.name == "postgresql":
        return func.hashtextextended(JOURNAL.c.score_id, seed, type_=BigInteger)
    factor, offset = np.random.default_rng(seed).integers(1, _PRIME, 2).tolist()
    scattered: ColumnElement[int] = (literal_column("journal.rowid", BigInteger) % _PRIME * factor + offset) % _PRIME
    return scattered


def future_rows(connection: Connection, use_case: str, version: str, now: datetime) -> int:
    """How many scores of a model version lie after `now`, which only a wrong clock can write."""
    later = select(func.count()).select_from(JOURNAL).where(JOURNAL.c.use_case == use_case, JOURNAL.c.ts >= now, *_real(version))
    return int(connection.execute(later).scalar_one())


def versions_by_day(connection: Connection, use_case: str, since: datetime, until: datetime) -> dict[date, str]:
    """Day (UTC) with real scores of a use case → the model version that gave most of them, the newest of equals."""
    if connection.dialect.name == "sqlite":
        day: Any = func.substr(JOURNAL.c.ts, 1, 10, type_=Text)  # stored in UTC, see database.UtcTime
    else:
        day = func.to_char(func.timezone("UTC", JOURNAL.c.ts), "YYYY-MM-DD", type_=Text)
    version, rows = JOURNAL.c.model_version, func.count()
    within = *_within(use_case, since, until), version.is_not(None), JOURNAL.c.status == OK, JOURNAL.c.is_simulation.is_(False)
    counted = select(day, version).where(*within).group_by(day, version).order_by(day, rows, func.max(JOURNAL.c.ts))
    return {date.fromisoformat(on): name for on, name in connection.execute(counted)}


def _real(version: str | None) -> tuple[ColumnElement[bool], ...]:
    real = JOURNAL.c.status == OK, JOURNAL.c.is_simulation.is_(False)
    return real if version is None else (JOURNAL.c.model_version == version, *real)


def _within(use_case: str, since: datetime, until: datetime) -> tuple[ColumnElement[bool], ...]:
    return JOURNAL.c.use_case == use_case, JOURNAL.c.ts >= since, JOURNAL.c.ts < until


def expanded(connection: Connection, rows: Sequence[Any]) -> pd.DataFrame:
    """Rows of the journal as a frame with the columns that `window` describes."""
    own = [column.name for column in JOURNAL.c if column.name not in _EXPANDED]
    frame = pd.DataFrame([[row[name] for name in own] for row in rows], columns=own)
    layouts = {layout: orjson.loads(names) for layout, names in connection.execute(select(LAYOUTS.c.layout, LAYOUTS.c.names))}
    parts = [frame]
    for field_name, prefix in _EXPANDED.items():
        parts.append(_table([row[field_name] or "{}" for row in rows], layouts).add_prefix(prefix))
    return pd.concat(parts, axis=1)


def _table(texts: Sequence[str], layouts: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """JSON texts as a frame, one row each. Rows of a layout become columns at once: twice as quick as by way of mappings."""
    stored = [orjson.loads(text) for text in texts]
    used = {values[0] for values in stored if isinstance(values, list)}
    if len(used) == 1 and all(isinstance(values, list) for values in stored):
        return pd.DataFrame([values[1:] for values in stored], columns=list(layouts[used.pop()]))
    return pd.DataFrame.from_records([features_of(text, layouts) for text in texts], index=range(len(texts)))
