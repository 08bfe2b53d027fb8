"""Surges and broken columns that no label has explained yet: until then nobody can say how good the scores are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, select

from database import add_new
from monitoring.findings import Finding
from monitoring.maturity import maturity
from monitoring.rows import SURGES
from monitoring.surges import Surge
from settings import Settings


@dataclass(frozen=True)
class Told:
    """A surge or a broken column as it was told at the moment `at`."""

    at: datetime
    sentence: str

    @property
    def reason(self) -> str:
        """Why nothing can be estimated, in words."""
        return f"on {self.at:%Y-%m-%d} {self.sentence}; what that means only labels can tell"


def record_told(engine: Engine, use_case: str, at: datetime, found: Sequence[Surge | Finding]) -> None:
    """Keep what a drift report found at the moment `at`; harmless to repeat."""
    if found:
        rows = [{"use_case": use_case, "at": at, "feature": one.column, "sentence": one.sentence} for one in found]
        with engine.begin() as connection:
            add_new(connection, SURGES, rows)


def told_before(engine: Engine, use_case: str, since: datetime, until: datetime) -> set[str]:
    """Features of which anything was recorded for since ≤ at < until: what was broken surges again when it is mended."""
    query = select(SURGES.c.feature).where(SURGES.c.use_case == use_case, SURGES.c.at >= since, SURGES.c.at < until)
    with engine.connect().execution_options(read_only=True) as connection:
        return set(connection.execute(query).scalars())


def newest_told(engine: Engine, use_case: str, at: datetime, config: Settings) -> Told | None:
    """The newest of what was told whose labels have not all come at the moment `at`; None when there is nothing."""
    surge = SURGES.c
    within = surge.use_case == use_case, surge.at > at - maturity(use_case, config), surge.at <= at
    query = select(surge.at, surge.sentence).where(*within).order_by(surge.at.desc(), surge.feature).limit(1)
    with engine.connect().execution_options(read_only=True) as connection:
        found = connection.execute(query).first()
    return None if found is None else Told(found.at, found.sentence)
