"""How sure the figures of a report are: the task's metric with bootstrap intervals, cheap enough for every training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from registry.bootstrap import Comparison, Undefined, bootstrap_interval, paired_bootstrap
from registry.metrics import Metric

MOST_REPLICATED = 4_000_000
"""Rows times bootstrap replicates; the replicates are fewer on large holdouts, where intervals are narrow anyway."""


@dataclass(frozen=True)
class Estimate:
    """A metric on the holdout with its 90 % bootstrap interval (None where the rows are too few for one)."""

    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Bootstrap:
    """A metric over fixed rows: by how much chance moves it, alone and between two models.

    Attributes:
        metric: the task's metric.
        weights: of the rows.
        groups: rows with one value are drawn together; None = every row for itself.
    """

    metric: Metric
    weights: np.ndarray
    groups: np.ndarray | None

    @property
    def _options(self) -> dict[str, Any]:
        replicates = int(np.clip(MOST_REPLICATED / max(len(self.weights), 1), 100, 200))
        return {"replicates": replicates, "groups": self.groups}

    def estimate(self, truths: Mapping[str, np.ndarray], predictions: Mapping[str, np.ndarray]) -> Estimate:
        """The metric's average over the outputs in `truths`, with its interval."""
        try:
            interval = bootstrap_interval(self.metric, truths, predictions, self.weights, **self._options)
        except Undefined:
            interval = None
        return Estimate(self.score(truths, predictions), interval)

    def score(self, truths: Mapping[str, np.ndarray], predictions: Mapping[str, np.ndarray]) -> float:
        """The metric's average over the outputs in `truths`."""
        scores = []
        for output, truth in truths.items():
            known = ~np.isnan(truth)
            scores.append(self.metric.score(truth[known], predictions[output][known], self.weights[known]))
        return float(np.mean(scores))

    def compare(
        self, truths: Mapping[str, np.ndarray], first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]
    ) -> Comparison:
        """How much better `first` is than `second`."""
        return paired_bootstrap(self.metric, truths, first, second, self.weights, **self._options)
