"""The newest feature row of every client, for serving: stored, and looked up without anything that computes one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import orjson
from sqlalchemy import (
    Column,
    DateTime,
    Engine,
    Index,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
)

from database import add_new, create_tables, unsampled
from features.layouts import ID_LENGTH, Layout
from features.lookup import SqliteLookup
from features.packed import PACKED, is_packed, unpacked

if TYPE_CHECKING:
    import pandas as pd

    from features.online_numbers import OnlineNumbers

_METADATA = MetaData()
_ROWS = Table(
    "online_features",
    _METADATA,
    Column("client_code", String, primary_key=True),
    Column("feature_set", String, primary_key=True),
    Column("as_of", DateTime, nullable=False),
    Column("values", Text, nullable=False),
    Index("online_features_by_set", "feature_set"),
)
_PACKING = MetaData()  # made by whoever writes packed rows: the consent service reads none and may make no tables
_LAYOUTS = Table("online_layouts", _PACKING, Column("layout", String, primary_key=True), Column("names", Text, nullable=False))
unsampled(_ROWS, "client_code", "values")
_ROW = select(_ROWS.c.as_of, _ROWS.c["values"]).where(
    _ROWS.c.client_code == bindparam("client_code"), _ROWS.c.feature_set == bindparam("feature_set")
)
_SEVERAL = select(_ROWS.c.client_code, _ROWS.c["values"]).where(
    _ROWS.c.client_code.in_(bindparam("client_codes", expanding=True)), _ROWS.c.feature_set == bindparam("feature_set")
)
_KNOWN = select(_ROWS.c.client_code).where(_ROWS.c.client_code == bindparam("client_code")).limit(1)
_BATCH = 5_000


class NotOneRowPerClient(Exception):
    """The rows to be served are ambiguous; nothing was written."""


@dataclass(frozen=True)
class OnlineRow:
    """A client's feature row: the moment (UTC) it describes and its values by name; None = missing."""

    as_of: datetime
    values: dict[str, Any]


class OnlineStore:
    """Newest feature rows by feature set and client, in SQLite or PostgreSQL.

    Readers see a set as it was before or after a `write`, never between.

    Args:
        engine: from `database.open_database`; the table is created when it is not there.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        create_tables(engine, _METADATA)
        self._reader = engine.execution_options(read_only=True)
        self._quick = SqliteLookup(engine) if engine.dialect.name == "sqlite" else None
        self._layouts: dict[str, tuple[str, ...]] = {}

    @property
    def immediate(self) -> bool:
        """Whether a look-up takes microseconds, so that an event loop may wait for it."""
        return self._quick is not None

    def write(self, feature_set: str, frame: pd.DataFrame) -> None:
        """Replace the rows of `feature_set` by `frame`: client_code, as_of (UTC) and the values, in one transaction.

        Raises:
            NotOneRowPerClient: a client has two rows, or a row names no client.
            TypeError: the set is one of `features.packed.PACKED`, and a value is no number.
        """
        from features.online_rows import layout, records  # they load what makes rows: whoever only looks up starts twice as fast

        codes = frame["client_code"]
        if codes.isna().any() or codes.duplicated().any():
            raise NotOneRowPerClient(f"{feature_set}: every row needs a client_code of its own: check the clients table")
        if feature_set in PACKED:
            self._know(layout(frame))
        with self._engine.begin() as connection:
            connection.execute(delete(_ROWS).where(_ROWS.c.feature_set == feature_set))
            for start in range(0, len(frame), _BATCH):
                connection.execute(insert(_ROWS), list(records(feature_set, frame.iloc[start : start + _BATCH])))

    def get(self, feature_set: str, client_code: str) -> OnlineRow | None:
        """The newest row of a client, None when the set has none."""
        row: Sequence[Any] | None
        if self._quick is not None:
            row = self._quick.row(feature_set, client_code)
        else:
            with self._reader.connect() as connection:
                row = connection.execute(_ROW, {"client_code": client_code, "feature_set": feature_set}).first()
        return None if row is None else OnlineRow(row[0].replace(tzinfo=UTC), self._values(row[1]))

    def numbers_of(self, feature_set: str, client_codes: Collection[str]) -> OnlineNumbers:
        """The newest rows of several clients in a set of `features.packed.PACKED`; who has none there is left out."""
        from features.online_numbers import OnlineNumbers  # numpy, which not all who look clients up have

        found, heads, texts = self._texts(feature_set, client_codes) if client_codes else ([], set(), "")
        head = heads.pop() if len(heads) == 1 else None
        if head is not None and is_packed(head):
            return OnlineNumbers.of_texts(self._names(head), found, texts)
        looked_up = {code: self.get(feature_set, code) for code in found}  # several layouts, or JSON as it was before
        return OnlineNumbers.of_rows({code: row.values for code, row in looked_up.items() if row is not None})

    def knows(self, client_code: str) -> bool:
        """Whether any set has a row of the client."""
        if self._quick is not None:
            return self._quick.knows(client_code)
        with self._reader.connect() as connection:
            return connection.execute(_KNOWN, {"client_code": client_code}).first() is not None

    def newest(self, feature_set: str) -> datetime | None:
        """The newest moment (UTC) that rows of the set describe, None when there are none."""
        with self._reader.connect() as connection:
            moment = connection.execute(select(func.max(_ROWS.c.as_of)).where(_ROWS.c.feature_set == feature_set)).scalar_one()
        return None if moment is None else moment.replace(tzinfo=UTC)

    def count(self) -> int:
        """Number of clients with a row in any set."""
        with self._reader.connect() as connection:
            return connection.execute(select(func.count(_ROWS.c.client_code.distinct()))).scalar_one()

    def _texts(self, feature_set: str, client_codes: Collection[str]) -> tuple[list[str], set[str], str]:
        """As `SqliteLookup.packed`, whatever the database."""
        if self._quick is not None:
            return self._quick.packed(feature_set, client_codes)
        asked = {"client_codes": list(client_codes), "feature_set": feature_set}
        with self._reader.connect() as connection:
            rows = connection.execute(_SEVERAL, asked).all()
        heads, rest = {row[1][:ID_LENGTH] for row in rows}, [row[1][ID_LENGTH:] for row in rows]
        return [row[0] for row in rows], heads, "".join(rest)

    def _know(self, layout: Layout) -> None:
        """Keep the names of a layout; it never changes, so that it may be there before its first row."""
        create_tables(self._engine, _PACKING)
        with self._engine.begin() as connection:
            add_new(connection, _LAYOUTS, [{"layout": layout.layout, "names": orjson.dumps(layout.names).decode()}])

    def _values(self, text: str) -> dict[str, Any]:
        return unpacked(text, self._names(text[:ID_LENGTH])) if is_packed(text) else cast(dict[str, Any], orjson.loads(text))

    def _names(self, layout: str) -> tuple[str, ...]:
        if layout not in self._layouts:
            with self._reader.connect() as connection:
                names = connection.execute(select(_LAYOUTS.c.names).where(_LAYOUTS.c.layout == layout)).scalar_one()
            self._layouts[layout] = tuple(orjson.loads(names))
        return self._layouts[layout]
