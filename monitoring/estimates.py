"""Estimates of quality as they were made, and how they turned out once the labels had come."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, select, update

from clock import now
from database import add_new
from monitoring.estimation import Estimated, NotEstimable
from monitoring.maturity import maturity
from monitoring.quality import METRIC_OF, realised
from monitoring.rows import ESTIMATES
from settings import Settings

FEWEST_SHARE = 0.9
"""Share of a window's scores that must have a label for its realised metric to judge the estimate."""


@dataclass(frozen=True)
class Coverage:
    """Of the estimates that could be judged, how many intervals held the realised metric."""

    judged: int
    held: int

    @property
    def share(self) -> float | None:
        """held / judged; None while none is judged. The intervals promise 0.9."""
        return self.held / self.judged if self.judged else None


def record_estimate(
    engine: Engine, use_case: str, version: str, since: datetime, until: datetime, estimate: Estimated | NotEstimable
) -> None:
    """Keep an estimate; the first one of a window stays, so that none is made after the fact."""
    row = {"use_case": use_case, "version": version, "since": since, "until": until, "made_at": now()}
    if isinstance(estimate, Estimated):
        row |= vars(estimate) | {"reason": ""}
    else:
        row |= {"metric": METRIC_OF[use_case], "rows": 0, "reason": estimate.reason}
    with engine.begin() as connection:
        add_new(connection, ESTIMATES, [row])


def judge_estimates(engine: Engine, use_case: str, at: datetime, config: Settings) -> int:
    """Note the realised metric beside the estimates whose windows have matured at `at`; returns how many it was.

    An estimate waits while fewer than nine in ten of its scores have a label.
    """
    table = ESTIMATES.c
    due = select(ESTIMATES).where(
        table.use_case == use_case,
        table.until <= at - maturity(use_case, config),
        table.realised.is_(None),
        table.low.is_not(None),
    )
    with engine.connect().execution_options(read_only=True) as connection:
        waiting = connection.execute(due).all()
    judged = 0
    for one in waiting:
        found = realised(engine, use_case, one.version, one.since, one.until)
        if found.value is not None and found.rows >= FEWEST_SHARE * one.rows:
            key = [table[name] == getattr(one, name) for name in ("use_case", "version", "since", "until")]
            values = {"realised": found.value, "realised_rows": found.rows, "realised_at": at}
            with engine.begin() as connection:
                connection.execute(update(ESTIMATES).where(*key).values(values))
            judged += 1
    return judged


def coverage(engine: Engine, use_case: str) -> Coverage:
    """How the estimates of a use case have turned out so far."""
    table = ESTIMATES.c
    query = select(table.low, table.realised, table.high).where(table.use_case == use_case, table.realised.is_not(None))
    with engine.connect().execution_options(read_only=True) as connection:
        judged = connection.execute(query).all()
    return Coverage(len(judged), sum(low <= value <= high for low, value, high in judged))
