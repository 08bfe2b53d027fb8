"""How good a version is: the use case's metric where labels have come, and what else its contract asks to be watched."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
from sqlalchemy import Engine, select

from monitoring import history
from monitoring.amounts import expected_error
from monitoring.borne_out import borne_out
from monitoring.draining import reading
from monitoring.estimation import Estimated, NotEstimable, Rows, expected_metric
from monitoring.learned import amounts_of, clients_of, learned_amounts, learned_from, without_calendar
from monitoring.maturity import maturity
from monitoring.outcomes import Outcomes, features_of_rows, labelled
from monitoring.rows import JOURNAL, OK
from monitoring.standing import newest_told
from registry.bootstrap import Undefined, bootstrap_interval
from registry.encoding import encode
from registry.metrics import METRICS, Metric
from registry.scorer import Scorer
from settings import Settings

METRIC_OF = {"income": "wmae", "prescoring": "roc_auc", "recommendation": "roc_auc", "fraud": "pr_auc"}
"""The metric that each use case is selected, gated and watched by."""
MOST_ROWS = 50_000
_MOST_ESTIMATED = 10_000
_UNLABELLED = NotEstimable("no labels have come, and the version was stored without labelled rows: train it again")


@dataclass(frozen=True)
class Realised:
    """A metric on the labels that have come.

    Attributes:
        metric: name in `registry.metrics.METRICS`.
        value, low, high: with a 90 % bootstrap interval, in the units of the metric; None where it has no value.
        rows: labelled scores that it rests on.
        reason: why there is no value, in words.
    """

    metric: str
    value: float | None
    low: float | None
    high: float | None
    rows: int
    reason: str = ""


def realised(engine: Engine, use_case: str, version: str, since: datetime, until: datetime) -> Realised:
    """The metric of a version on its labelled scores with since ≤ ts < until, over its outputs, every row of weight 1.

    Labels that come one by one are no fair sample (a fraud is reported sooner than its absence), so ask for matured windows:
    `maturity.matured_window`. Of more than 50,000 rows, a random sample.
    """
    return realised_of(labelled(engine, use_case, version, since, until, MOST_ROWS), METRIC_OF[use_case])


def scores_of(engine: Engine, use_case: str, version: str, since: datetime, until: datetime, seed: int) -> pd.DataFrame:
    """The scores that a version really gave for since ≤ ts < until; of more than 50,000, a random sample."""
    with reading(engine) as connection:
        return history.sample(connection, use_case, version, (since, until), MOST_ROWS, seed).frame


def estimated(
    engine: Engine, use_case: str, version: str, scores: pd.DataFrame, until: datetime, scorer: Scorer, config: Settings
) -> Estimated | NotEstimable:
    """What the metric of a version on its `scores` before `until` will turn out to be, whatever labels they have.

    It is learned from the newest scores that are matured at `until` and labelled, from the labelled samples that are stored with
    the version while these are too few. Of more than 10,000 scores, a random sample.
    """
    told = newest_told(engine, use_case, until, config)
    if told and not borne_out(engine, use_case, version, scorer, told.at, until, config.drift_surge):
        return NotEstimable(told.reason)
    if scores.empty:
        return NotEstimable("the version has given no scores in this window")
    window = scores.sample(min(_MOST_ESTIMATED, len(scores)), random_state=config.seed)
    metric, matured = METRIC_OF[use_case], until - maturity(use_case, config)
    predictions = {name: window[f"prediction_{name}"].to_numpy(dtype="float64") for name in scorer.outputs}
    if metric == "wmae":
        (amounts,) = predictions.values()
        asked = amounts_of(scorer, window, amounts, np.full(len(window), np.nan))
        learned = learned_amounts(engine, use_case, version, scorer, matured)
        return _UNLABELLED if learned is None else expected_error(metric, learned, asked, config.seed)
    known = learned_from(engine, use_case, version, scorer, matured)
    rows = Rows(encode(features_of_rows(window), scorer.columns_), predictions, {}, clients_of(window))
    if known is None:
        return _UNLABELLED
    known, rows = (without_calendar(use_case, scorer, part) for part in (known, rows))
    return expected_metric(METRICS[metric], metric, known, rows, config.seed)


def scored_since(engine: Engine, use_case: str, version: str, moment: datetime) -> bool:
    """Whether the version gave scores before the moment."""
    real = JOURNAL.c.status == OK, JOURNAL.c.is_simulation.is_(False)
    earlier = (JOURNAL.c.use_case == use_case, JOURNAL.c.model_version == version, JOURNAL.c.ts < moment)
    with reading(engine) as connection:
        return connection.execute(select(JOURNAL.c.score_id).where(*earlier, *real).limit(1)).first() is not None


def realised_of(outcomes: Outcomes, name: str) -> Realised:
    """The metric `name` of labelled scores; rows of one client are drawn together for the interval."""
    rows, metric = len(outcomes), METRICS[name]
    if not rows:
        return Realised(name, None, None, None, 0, "no label has come for a score of this window")
    try:
        low, high = bootstrap_interval(
            metric, outcomes.labels, outcomes.predictions, np.ones(rows), groups=clients_of(outcomes.frame)
        )
        return Realised(name, average(metric, outcomes.labels, outcomes.predictions), low, high, rows)
    except Undefined as error:
        return Realised(name, None, None, None, rows, str(error))


def average(metric: Metric, labels: Mapping[str, np.ndarray], predictions: Mapping[str, np.ndarray]) -> float:
    """The metric averaged over the outputs, each on its labelled rows, every row of weight 1."""
    scores = []
    for output, truth in labels.items():
        known = ~np.isnan(truth)
        scores.append(metric.score(truth[known], predictions[output][known], np.ones(int(known.sum()))))
    return float(np.mean(scores))
