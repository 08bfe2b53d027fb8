"""How a client's own spending lies among the online features: what its reader needs to know, without what computes it."""

from datetime import UTC, datetime

SPENDING_YEAR = "spending_year"
"""Name of the online set."""
MONTHS = 12


def month_start(as_of: datetime, ago: int) -> datetime:
    """The first moment of the calendar month that was `ago` months before that of `as_of` (UTC); 0 is the current one."""
    months = as_of.year * 12 + as_of.month - 1 - ago
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)
