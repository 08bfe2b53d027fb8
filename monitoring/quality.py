"""How good a version is: the use case's metric where labels have come, and what else its contract asks to be watched."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
from sqlalchemy import Engine

from monitoring import history
from monitoring.estimation import Estimated, NotEstimable, Rows, expected_metric, learnable
from monitoring.maturity import maturity
from monitoring.outcomes import Outcomes, features_of_rows, labelled
from monitoring.rows import create_tables
from registry.bootstrap import Undefined, bootstrap_interval
from registry.candidate import load_candidate
from registry.encoding import encode
from registry.metrics import METRICS, Metric
from registry.scorer import Scorer
from settings import Settings, settings

METRIC_OF = {"income": "wmae", "prescoring": "roc_auc", "recommendation": "roc_auc", "fraud": "pr_auc"}
"""The metric that each use case is selected, gated and watched by."""
MOST_ROWS = 50_000
_MOST_LEARNED = 5000
_MOST_ESTIMATED = 10_000


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


def estimated(
    engine: Engine,
    use_case: str,
    version: str,
    since: datetime,
    until: datetime,
    scorer: Scorer | None = None,
    config: Settings | None = None,
) -> Estimated | NotEstimable:
    """What the metric of a version on its scores with since ≤ ts < until will turn out to be, whatever labels they have.

    It is learned from the newest scores that are matured at `until` and labelled, from the labelled sample of the holdout that
    is stored with the version while these are too few. Of more than 10,000 scores, a random sample.

    Args:
        scorer: of the version, where it is at hand; otherwise it is loaded from the registry.

    Raises:
        Unservable: the version cannot be loaded.
    """
    config = config or settings()
    if METRICS[METRIC_OF[use_case]].title == "WMAE":
        return NotEstimable("errors of amounts are known from labels only")
    create_tables(engine)
    scorer = scorer or load_candidate(use_case, version, config).scorer
    with engine.connect().execution_options(read_only=True) as connection:
        window = history.sample(connection, use_case, version, (since, until), _MOST_ESTIMATED, config.seed).frame
    predictions = {name: window[f"prediction_{name}"].to_numpy(dtype="float64") for name in scorer.outputs if len(window)}
    if not predictions:
        return NotEstimable("the version has given no scores in this window")
    asked = Rows(encode(features_of_rows(window), scorer.columns_), predictions, {})
    known = learned_from(engine, use_case, version, scorer, until - maturity(use_case, config))
    if known is None:
        return NotEstimable("no labels have come, and the version has no labelled sample of its holdout: train it again")
    metric = METRIC_OF[use_case]
    return expected_metric(METRICS[metric], metric, known, asked, config.seed)


def learned_from(engine: Engine, use_case: str, version: str, scorer: Scorer, until: datetime) -> Rows | None:
    """The newest labelled scores before `until` where they suffice, else the reference of the version; None without labels."""
    newest = labelled(engine, use_case, version, None, until, _MOST_LEARNED, newest=True)
    if set(newest.labels) == set(scorer.outputs):
        rows = Rows(encode(newest.features, scorer.columns_), newest.predictions, newest.labels)
        if learnable(rows):
            return rows
    return reference_rows(scorer)


def reference_rows(scorer: Scorer) -> Rows | None:
    """The sample of the holdout that is stored with a version; None for one that was stored without labels."""
    reference = scorer.reference
    if any(f"label_{output}" not in reference for output in scorer.outputs):
        return None
    predictions = {output: reference[f"prediction_{output}"].to_numpy(dtype="float64") for output in scorer.outputs}
    labels = {output: reference[f"label_{output}"].to_numpy(dtype="float64") for output in scorer.outputs}
    return Rows(encode(reference, scorer.columns_), predictions, labels)


def reference_metric(use_case: str, scorer: Scorer) -> float | None:
    """The metric of a version on its labelled sample of the holdout, which later figures are compared with."""
    reference = reference_rows(scorer)
    if reference is None:
        return None
    return average(METRICS[METRIC_OF[use_case]], reference.labels, reference.predictions)


def realised_of(outcomes: Outcomes, name: str) -> Realised:
    """The metric `name` of labelled scores; rows of one client are drawn together for the interval."""
    rows, metric = len(outcomes), METRICS[name]
    if not rows:
        return Realised(name, None, None, None, 0, "no label has come for a score of this window")
    try:
        low, high = bootstrap_interval(
            metric, outcomes.labels, outcomes.predictions, np.ones(rows), groups=_clients(outcomes.frame)
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


def _clients(frame: pd.DataFrame) -> np.ndarray:
    """A number for each client; a row without one stands alone."""
    clients = frame["client_id"].astype("object").fillna(frame["score_id"])
    return np.asarray(pd.factorize(clients)[0])
