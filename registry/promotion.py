"""Which version is in force: the gate between a new version and the alias `champion`."""

from dataclasses import dataclass

import pandas as pd

from registry import models
from registry.metrics import METRICS
from registry.scorer import Scorer


@dataclass(frozen=True)
class Holdout:
    """Rows that no candidate was fitted on, with what happened: the common ground of a comparison.

    Attributes:
        features: feature rows.
        labels: one column per output; a missing label leaves the row out for that output.
        weights: weight of each row in the metric.
        metric: name in `registry.metrics.METRICS`.
        baseline: the metric that a naive predictor reaches on these rows.
    """

    features: pd.DataFrame
    labels: pd.DataFrame
    weights: pd.Series
    metric: str
    baseline: float


@dataclass(frozen=True)
class Verdict:
    """What the gate decided and why, with the figures it compared."""

    promoted: bool
    reason: str
    challenger: float
    champion: float | None
    baseline: float


def evaluate(scorer: Scorer, holdout: Holdout) -> float:
    """The metric of a scorer on the holdout, averaged over its outputs."""
    predictions = scorer.predict(holdout.features)
    metric = METRICS[holdout.metric]
    scores = []
    for output in holdout.labels.columns:
        known = holdout.labels[output].notna().to_numpy()
        labels = holdout.labels[output][known].to_numpy(dtype="float64")
        scores.append(metric.score(labels, predictions[output][known], holdout.weights[known].to_numpy()))
    return float(sum(scores) / len(scores))


def gate(use_case: str, version: str, holdout: Holdout, margin: float = 0.01) -> Verdict:
    """Promote `version` when it beats the naive baseline and is not worse than the champion by more than `margin` (relative).

    Both are scored on the same holdout. The version gets the alias `challenger` first, and `champion` only when it passes.
    """
    api = models.client()
    api.set_registered_model_alias(use_case, models.CHALLENGER, version)
    verdict = judge(use_case, version, holdout, margin)
    if verdict.promoted:
        api.set_registered_model_alias(use_case, models.CHAMPION, version)
    api.set_model_version_tag(use_case, version, "opora.gate", verdict.reason)
    return verdict


def judge(use_case: str, version: str, holdout: Holdout, margin: float) -> Verdict:
    """The gate's decision, without touching any alias."""
    metric = METRICS[holdout.metric]
    challenger = evaluate(models.load_version(use_case, version).scorer, holdout)
    if not metric.better(challenger, holdout.baseline):
        reason = f"refused: {metric.title} {challenger:.4g} does not beat the naive baseline {holdout.baseline:.4g}"
        return Verdict(False, reason, challenger, None, holdout.baseline)
    try:
        champion = models.load_champion(use_case)
    except models.NoChampion:
        reason = (
            f"promoted: {metric.title} {challenger:.4g} against the naive baseline {holdout.baseline:.4g}, and no champion yet"
        )
        return Verdict(True, reason, challenger, None, holdout.baseline)
    current = evaluate(champion.scorer, holdout)
    worse = metric.loss(challenger, current)
    promoted = worse <= margin
    word = "promoted" if promoted else "refused"
    reason = (
        f"{word}: {metric.title} {challenger:.4g} against {current:.4g} of champion {champion.version} on the same holdout "
        f"({-worse:+.2%} in its favour, up to {margin:.0%} worse is accepted for fresher data)"
    )
    return Verdict(promoted, reason, challenger, current, holdout.baseline)
