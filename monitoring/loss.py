"""Whether a metric is worse than on the holdout, by how much, and whether that is beyond chance."""

from math import hypot

import numpy as np

from monitoring.estimation import Estimated, NotEstimable
from monitoring.learned import reference_rows
from monitoring.quality import METRIC_OF, Realised, average
from registry.bootstrap import Undefined, bootstrap_interval
from registry.metrics import METRICS
from registry.scorer import Scorer


def reference_quality(use_case: str, scorer: Scorer) -> Realised | None:
    """The metric of a version on its labelled sample of the holdout with a 90 % interval; None where it has none."""
    rows = reference_rows(scorer)
    if rows is None:
        return None
    metric, size = METRICS[METRIC_OF[use_case]], len(rows.matrix)
    try:
        low, high = bootstrap_interval(metric, rows.labels, rows.predictions, np.ones(size), groups=rows.clients)
    except Undefined:
        return None
    return Realised(METRIC_OF[use_case], average(metric, rows.labels, rows.predictions), low, high, size)


def relative_loss(reference: Realised | None, found: Realised | Estimated | NotEstimable) -> float:
    """Relative loss of a metric against that of the holdout; 0 unless it is beyond what chance does to both.

    Both are known from samples, and the holdout's may be the smaller one. The loss is beyond chance when the interval of the
    difference, made from the two intervals, excludes none.
    Source: Zou and Donner, Construction of Confidence Limits About Effect Measures (2008), the method of variance estimates
    recovery.
    """
    if reference is None or isinstance(found, NotEstimable):
        return 0.0
    bounds = reference.value, reference.low, reference.high, found.value, found.low, found.high
    known = [one for one in bounds if one is not None]
    if len(known) < len(bounds):
        return 0.0
    value, low, high, other, other_low, other_high = known
    metric = METRICS[found.metric]
    if metric.greater_is_better:
        beyond = value - other > hypot(value - low, other_high - other)
    else:
        beyond = other - value > hypot(high - value, other - other_low)
    return metric.loss(other, value) if beyond else 0.0
