"""Stopping a trial that lags behind, by its validation loss at equal boosting time."""

from collections.abc import Sequence

import numpy as np

Curve = dict[str, dict[int, float]]
"""Least validation loss so far, by output and by step of boosting time."""


class Pruner:
    """Stops a trial whose validation loss lags behind three quarters of the finished trials at the same boosting time.

    Boosting time is rounds x learning rate, so that a slow learner is compared with what others had after as much shrunken
    progress, not after as many rounds. Optuna's own pruners compare in the direction of the study; here the study's metric (say
    PR-AUC) and the loss that boosting reports (log loss) can point in opposite directions, so the comparison is on the loss.
    Checking after 2, 3, 4.5, … of boosting time thins the field again and again, as successive halving does.
    Source of the rule: the median stopping rule of Golovin et al., Google Vizier (2017), with a milder quantile: the first
    trials are the strongest known configurations, and half of them would be a hard measure for a search beside them.
    """

    FIRST = 2.0
    FACTOR = 1.5

    def __init__(self, finished: Sequence[Curve], warmup: int = 3) -> None:
        self._finished, self._warmup = finished, warmup
        self.curve: Curve = {}

    def lags(self, output: str, boosting_time: float, best_loss: float) -> bool:
        """Note the best loss at this boosting time; whether it is above that of three quarters of the finished trials."""
        if boosting_time < self.FIRST:
            return False
        step = int(np.log(boosting_time / self.FIRST) / np.log(self.FACTOR))
        losses = self.curve.setdefault(output, {})
        if step in losses:
            return False
        losses[step] = best_loss
        others = [curve[output][step] for curve in self._finished if step in curve.get(output, {})]
        return len(others) >= self._warmup and best_loss > float(np.quantile(others, 0.75))
