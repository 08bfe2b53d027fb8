"""How a model's service did lately, counted by the database over its journal."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, ColumnElement, Connection, Engine, case, func, select

from monitoring.draining import reading
from monitoring.rows import JOURNAL, OK

SHADOW = "shadow"
"""Source of the rows of a challenger, which nobody was answered with."""


@dataclass(frozen=True)
class ModelHealth:
    """Figures of one use case over a window; the rows of a challenger in shadow are not among them.

    Attributes:
        requests: scores given or tried.
        failed: of these, tried in vain.
        simulation_share: share of what-if questions among them; None when there were no requests.
        unique_clients: different clients named.
        mean_latency_ms, p95_latency_ms: from arrival to the score, milliseconds; p95 is the nearest rank: the smallest latency
            that at least 95 % of the requests did not exceed. To the microsecond; None when there were no requests.
        requests_by_version: by model version; "none" where no model was loaded.
        requests_by_source: by who asked (api, card, batch, …).
    """

    requests: int
    failed: int
    simulation_share: float | None
    unique_clients: int
    mean_latency_ms: float | None
    p95_latency_ms: float | None
    requests_by_version: Mapping[str, int]
    requests_by_source: Mapping[str, int]


def model_health(engine: Engine, use_case: str, since: datetime, until: datetime) -> ModelHealth:
    """The health of `use_case` for since ≤ ts < until; `engine` is the journal's."""
    journal = JOURNAL.c
    window = (journal.use_case == use_case, journal.ts >= since, journal.ts < until, journal.source != SHADOW)
    totals = select(
        func.count(),
        func.sum(case((journal.status != OK, 1), else_=0)),
        func.sum(case((journal.is_simulation, 1), else_=0)),
        func.count(journal.client_id.distinct()),
        func.avg(journal.latency_ms),
    ).where(*window)
    with reading(engine) as connection:
        requests, failed, simulations, clients, mean = connection.execute(totals).one()
        rank = max(0, -(-requests * 95 // 100) - 1)
        slowest = select(journal.latency_ms).where(*window).order_by(journal.latency_ms).offset(rank).limit(1)
        return ModelHealth(
            requests=requests,
            failed=failed or 0,
            simulation_share=simulations / requests if requests else None,
            unique_clients=clients,
            mean_latency_ms=_to_the_microsecond(mean),
            p95_latency_ms=_to_the_microsecond(connection.execute(slowest).scalar()),
            requests_by_version=_by(connection, journal.model_version, window),
            requests_by_source=_by(connection, journal.source, window),
        )


def _to_the_microsecond(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 3)


def _by(connection: Connection, column: Column[str], window: tuple[ColumnElement[bool], ...]) -> dict[str, int]:
    counted = select(column, func.count()).where(*window).group_by(column).order_by(column)
    return {"none" if name is None else name: count for name, count in connection.execute(counted)}
