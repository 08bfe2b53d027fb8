"""How long a consent may last: to the second, in UTC, at most 12 months."""

import calendar
from datetime import UTC, datetime

LONGEST_MONTHS = 12


class ExpiryOutOfRange(Exception):
    """A consent ends in the future and at most 12 months from now."""


def latest_expiry(at: datetime) -> datetime:
    """The same second of the same day 12 months on; 29 February ends on 28 February."""
    start = whole_second(at)
    year = start.year + LONGEST_MONTHS // 12
    day = min(start.day, calendar.monthrange(year, start.month)[1])
    return start.replace(year=year, day=day)


def expiry(wanted: datetime | None, begins_at: datetime) -> datetime:
    """The moment from which a consent that begins at `begins_at` counts no more; without a wish the latest possible.

    Raises:
        ExpiryOutOfRange: the wish is not in the future, or more than 12 months away.
    """
    begins_at, latest = whole_second(begins_at), latest_expiry(begins_at)
    if wanted is None:
        return latest
    valid_until = whole_second(wanted)
    if not begins_at < valid_until <= latest:
        raise ExpiryOutOfRange(f"a consent ends after {begins_at.isoformat()} and at the latest on {latest.isoformat()}")
    return valid_until


def whole_second(moment: datetime) -> datetime:
    """The second in which `moment` lies, in UTC."""
    return moment.astimezone(UTC).replace(microsecond=0)
