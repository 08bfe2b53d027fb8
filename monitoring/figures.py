"""The other figures of a day, which the dashboard draws beside drift: traffic, latency, and the challenger in shadow."""

from datetime import datetime

import numpy as np
import orjson
from sqlalchemy import Connection, Engine, func, select

from monitoring.as_served import as_served
from monitoring.companions import companions
from monitoring.draining import reading
from monitoring.early import early_labels
from monitoring.estimation import Estimated
from monitoring.health import SHADOW, model_health
from monitoring.label_targets import AMOUNTS
from monitoring.loss import reference_quality
from monitoring.maturity import matured_window
from monitoring.quality import Realised, estimated, realised, scores_of
from monitoring.rows import JOURNAL, OK
from registry.loading import LoadedModel
from settings import Settings

_MOST_PAIRS = 2000
_BOUNDS = {"": "value", " low": "low", " high": "high"}
_ID_LENGTH = 32  # the id of a row in shadow begins with that of the row it shadows


def traffic(engine: Engine, use_case: str, since: datetime, until: datetime) -> dict[str, float]:
    """Volume, share of failures and latencies (ms) of a use case for since ≤ ts < until; what is not known is left out."""
    health = model_health(engine, use_case, since, until)
    figures = {
        "volume": health.requests,
        "clients": health.unique_clients,
        "failed share": health.failed / health.requests if health.requests else None,
        "simulation share": health.simulation_share,
        "mean latency": health.mean_latency_ms,
        "p95 latency": health.p95_latency_ms,
    }
    return {name: float(value) for name, value in figures.items() if value is not None}


def quality(model: LoadedModel, engine: Engine, since: datetime, until: datetime, config: Settings) -> dict[str, float]:
    """What is known of the model's quality at `until`: the metric on the newest window whose labels have come, as long as this
    one; its estimate for this one; and what the use case's contract asks to be watched beside. What is unknown is left out.
    """
    use_case, version = model.use_case, model.version
    scores = scores_of(engine, use_case, version, since, until, config.seed)
    scorer = as_served(model, scores, config.seed).scorer
    days = max(1, (until - since).days)
    matured = matured_window(use_case, until, days, config)
    known: dict[str, Realised | Estimated] = {"realised": realised(engine, use_case, version, *matured)}
    estimate = estimated(engine, use_case, version, scores, until, scorer, config)
    if use_case == AMOUNTS:
        early = early_labels(engine, use_case, scorer, until, days, config)
        estimate = early.borne_out(estimate, reference_quality(use_case, scorer), config.quality_loss)
    if isinstance(estimate, Estimated):
        known["estimated"] = estimate
    figures = {f"{name}{bound}": getattr(one, field) for name, one in known.items() for bound, field in _BOUNDS.items()}
    beside = companions(engine, use_case, scores, matured, scorer, version, config)
    return {name: float(value) for name, value in figures.items() if value is not None} | beside


def shadow(engine: Engine, use_case: str, since: datetime, until: datetime) -> dict[str, float]:
    """How the challenger's scores differ from those that were given for the same rows, at most 2,000 of them.

    "shadow difference" is the mean of challenger minus champion over the outputs they share, "shadow distance" that of its
    absolute value, in the units of the predictions. Empty where nothing was scored in shadow.
    """
    with reading(engine) as connection:
        pairs = _pairs(connection, use_case, since, until)
    differences = [second[output] - first[output] for first, second in pairs for output in first.keys() & second.keys()]
    if not differences:
        return {}
    return {
        "shadow rows": float(len(pairs)),
        "shadow difference": float(np.mean(differences)),
        "shadow distance": float(np.mean(np.abs(differences))),
    }


def _pairs(
    connection: Connection, use_case: str, since: datetime, until: datetime
) -> list[tuple[dict[str, float], dict[str, float]]]:
    given, other = JOURNAL.alias("given"), JOURNAL.alias("shadow")
    query = (
        select(given.c.score, other.c.score)
        .select_from(other)
        .join(given, given.c.score_id == func.substr(other.c.score_id, 1, _ID_LENGTH))
        .where(other.c.use_case == use_case, other.c.ts >= since, other.c.ts < until)
        .where(other.c.source == SHADOW, other.c.status == OK)
        .order_by(other.c.score_id.desc())
        .limit(_MOST_PAIRS)
    )
    return [(orjson.loads(first), orjson.loads(second)) for first, second in connection.execute(query)]
