"""The newest online rows after an upload: what recommendations are computed from."""

from __future__ import annotations

from datetime import datetime

from features.current import newest_moment
from features.lake import Lake
from features.last_month import LAST_MONTH, last_month
from features.online import OnlineStore
from features.online_rows import newest_rows

_SETS = ("profile", "income", "recommendation")
"""The sets that clients, transactions and transfers change."""


def refresh(lake: Lake, online: OnlineStore) -> datetime:
    """Compute the newest rows of every client from the three months before the newest event; returns that moment (UTC).

    Each set is replaced in one transaction.

    Raises:
        NothingIngested: the lake has no purchases. KeyError: it has no clients.
    """
    tables = lake.tables()
    as_of = newest_moment(tables)
    rows = newest_rows(tables, as_of)
    for name in _SETS:
        online.write(name, rows[name].to_pandas())
    online.write(LAST_MONTH, last_month(tables, as_of).to_pandas())
    return as_of
