"""The common ground of a comparison: rows that no candidate was fitted on, and the metric on them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from registry.bootstrap import Comparison, bootstrap_interval, paired_bootstrap
from registry.metrics import METRICS, Metric
from registry.scorer import Scorer

_WORK = 20_000_000
"""Rows times replicates that a bootstrap may cost: some seconds."""

Predictions = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Holdout:
    """Rows that no candidate was fitted on, with what happened.

    Attributes:
        features: feature rows.
        labels: one column per output; a missing label leaves the row out for that output.
        weights: weight of each row in the metric.
        metric: name in `registry.metrics.METRICS`.
        baseline: the metric that a naive predictor reaches on these rows.
        group: column of `features` whose rows belong together (all rows of a client) and are resampled as one; None = no groups.
    """

    features: pd.DataFrame
    labels: pd.DataFrame
    weights: pd.Series
    metric: str
    baseline: float
    group: str | None = None

    @property
    def figure(self) -> Metric:
        """The metric itself."""
        return METRICS[self.metric]

    def score(self, predictions: Predictions) -> float:
        """The metric of predictions by output, averaged over the outputs."""
        scores = []
        for output in self.labels.columns:
            known = self.labels[output].notna().to_numpy()
            labels = self.labels[output][known].to_numpy(dtype="float64")
            scores.append(self.figure.score(labels, predictions[output][known], self.weights[known].to_numpy()))
        return float(sum(scores) / len(scores))

    def gain(self, score: float) -> float:
        """By how much a score is better than the naive baseline's; negative when it is worse."""
        return score - self.baseline if self.figure.greater_is_better else self.baseline - score

    def only(self, outputs: list[str]) -> "Holdout":
        """The same rows, judged by some of the outputs."""
        return replace(self, labels=self.labels[outputs])

    def interval(self, predictions: Predictions) -> tuple[float, float]:
        """Two-sided 90 % bootstrap interval of `score`."""
        labels, weights, groups, replicates = self._resampled()
        return bootstrap_interval(self.figure, labels, predictions, weights, replicates=replicates, groups=groups)

    def compare(self, first: Predictions, second: Predictions, level: float = 0.9) -> Comparison:
        """How much better `first` scores than `second`, with a two-sided paired bootstrap interval of this `level`."""
        labels, weights, groups, replicates = self._resampled()
        return paired_bootstrap(self.figure, labels, first, second, weights, replicates=replicates, level=level, groups=groups)

    def _resampled(self) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray | None, int]:
        labels = {str(output): self.labels[output].to_numpy(dtype="float64") for output in self.labels.columns}
        groups = None if self.group is None else pd.factorize(self.features[self.group], use_na_sentinel=False)[0]
        replicates = min(1000, max(200, _WORK // max(1, len(self.features))))
        return labels, self.weights.to_numpy(dtype="float64"), groups, replicates


def evaluate(scorer: Scorer, holdout: Holdout) -> float:
    """The metric of a scorer on the holdout, averaged over its outputs."""
    return holdout.score(scorer.predict(holdout.features))
