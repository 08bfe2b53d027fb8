"""Looking rows up in a SQLite file without SQLAlchemy's share of the time, which is most of it."""

import threading
from collections.abc import Collection
from datetime import datetime
from sqlite3 import Connection
from typing import cast

import orjson
from sqlalchemy import Engine

from features.layouts import ID_LENGTH

Row = tuple[datetime, str]
"""as_of (naive, UTC) and the values as they are stored."""

_ONE = 'SELECT as_of, "values" FROM online_features WHERE client_code = ? AND feature_set = ?'
_KNOWN = "SELECT 1 FROM online_features WHERE client_code = ? LIMIT 1"
_SEVERAL = """
    SELECT json_group_array(client_code), coalesce(group_concat(substr("values", :head + 1), ''), ''),
        min(substr("values", 1, :head)), max(substr("values", 1, :head))
    FROM online_features WHERE feature_set = :set AND client_code IN (SELECT value FROM json_each(:codes))
"""
_CACHE_KIB = 8192  # of threads that look many clients up: with SQLite's own 2,000 the pages of a batch drive each other out


class SqliteLookup:
    """Reads `online_features` over a connection of each thread's own, whose statements stay prepared.

    Every look-up is a transaction of its own, so it sees a set as it was before or after a write.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._local = threading.local()

    def row(self, feature_set: str, client_code: str) -> Row | None:
        """as_of and values of one client."""
        found = self._connection().execute(_ONE, (client_code, feature_set)).fetchone()
        return None if found is None else (datetime.fromisoformat(found[0]), found[1])

    def knows(self, client_code: str) -> bool:
        """Whether any set has a row of the client."""
        return self._connection().execute(_KNOWN, (client_code,)).fetchone() is not None

    def packed(self, feature_set: str, client_codes: Collection[str]) -> tuple[list[str], set[str], str]:
        """Codes of those of several clients that have a row, the ids their texts begin with, and the rest of the texts in a row.

        Fetched as single texts, so that other threads may run meanwhile. All ids are there if there is one only; of more, two.
        """
        asked = {"head": ID_LENGTH, "set": feature_set, "codes": orjson.dumps(list(client_codes)).decode()}
        connection = self._connection()
        if not getattr(self._local, "roomy", False):
            connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
            self._local.roomy = True
        found, texts, first, last = connection.execute(_SEVERAL, asked).fetchone()
        return orjson.loads(found), {first, last} - {None}, texts

    def _connection(self) -> Connection:
        known = getattr(self._local, "connection", None)
        if known is None:
            borrowed = self._engine.raw_connection()
            known = self._local.connection = cast(Connection, borrowed.driver_connection)
            borrowed.detach()  # it stays this thread's and ends with it, so the pool must not count on it
        return known
