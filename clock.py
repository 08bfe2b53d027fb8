"""The one source of the current time: aware datetimes in UTC."""

import os
from datetime import UTC, datetime
from pathlib import Path

CLOCK_FILE = "OPORA_CLOCK_FILE"
"""Names a file that tells the time of a simulated bank; `make scenario` sets it for itself and the services it starts."""
_FILE = Path(os.environ[CLOCK_FILE]) if os.environ.get(CLOCK_FILE) else None


def now() -> datetime:
    """The current moment, in UTC: the machine's, or the one that the file of `OPORA_CLOCK_FILE` tells."""
    return datetime.now(UTC) if _FILE is None else datetime.fromisoformat(_FILE.read_text())


def simulated() -> bool:
    """Whether a file tells the time, so that nothing beyond this machine may be served."""
    return _FILE is not None


def tell(file: Path, moment: datetime) -> None:
    """Write `moment` (aware) into the file that other processes read the time from, in one step."""
    fresh = file.with_suffix(".new")
    fresh.write_text(moment.astimezone(UTC).isoformat())
    fresh.replace(file)
