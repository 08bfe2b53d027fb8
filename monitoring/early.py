"""What labels say that have come before the rest, months sooner than their window has matured.

They are no fair sample: those whose income is known first may be harder to predict. But so they were before. What early labels
say is therefore a loss only where it is one against the holdout and against labels that came as early in an earlier window.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import hypot

import numpy as np
from sqlalchemy import Engine

from monitoring.error_draws import MONTHLY
from monitoring.estimation import Estimated, NotEstimable
from monitoring.learned import clients_of
from monitoring.loss import relative_loss
from monitoring.maturity import maturity
from monitoring.outcomes import Outcomes, labelled
from monitoring.quality import METRIC_OF, Realised
from registry.bootstrap import bootstrap_interval
from registry.metrics import METRICS
from registry.scorer import Scorer
from settings import Settings

FEWEST = 50
"""Labelled scores of either side below which nothing is said."""
_MOST = 20_000
_LOOKS = 12
"""How many windows back it is looked for the oldest one with enough labels."""
_LEVEL = 0.99
_SIGMAS = 2.576  # standard deviations that leave out as much; the level is high, since it is looked every day
_REPLICATES = 1000
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Early:
    """The mean error of amounts on labels that came early, with 99 % intervals; without values where they are too few.

    The intervals allow for clients with several rows and for what whole months have in common (bonuses, seasons).

    Attributes:
        now: on the newest scores with labels, as the version predicts them; only by labels that came after it was trained.
        before: of what was in force then, on the oldest window within a year, by the labels that had come as early.
        days: how long before the newest scores that window lies.
    """

    now: Realised
    before: Realised
    days: int

    @property
    def sentence(self) -> str:
        """What they say, in words."""
        if self.now.value is None or self.before.value is None:
            return f"early labels say nothing: {self.now.reason or self.before.reason}"
        return (
            f"early labels: {METRICS[self.now.metric].title} {self.now.value:,.0f} (99 % interval {self.now.low:,.0f} to "
            f"{self.now.high:,.0f}, {self.now.rows:,} rows) against {self.before.value:,.0f} ({self.before.low:,.0f} to "
            f"{self.before.high:,.0f}, {self.before.rows:,} rows) of labels as early {self.days} days before"
        )

    def loss(self, reference: Realised | None) -> float:
        """The lesser of the relative losses against holdout and earlier labels; 0 unless both are beyond chance."""
        return min(relative_loss(reference, self.now), relative_loss(self.before, self.now))

    def borne_out(self, estimate: Estimated | NotEstimable, reference: Realised | None, limit: float) -> Estimated | NotEstimable:
        """The estimate, unless early labels show a loss from `limit` on: what it learned from was another world."""
        return NotEstimable(self.sentence) if self.loss(reference) >= limit else estimate


def early_labels(engine: Engine, use_case: str, scorer: Scorer, at: datetime, days: int, config: Settings) -> Early:
    """What the labels of the newest `days` days of labelled scores say at the moment `at`, compared with earlier ones.

    Which labels have come depends on their age alone or on what they say; either way it did so when the same was looked at
    some multiple of `days` before. The oldest such look is taken, so that a loss that stays is not compared with itself. Scores
    of all versions count, predicted anew by `scorer`; what it may have learned from does not.

    Args:
        scorer: of the champion, a model of one amount.
    """
    (output,) = scorer.outputs
    trained = datetime.fromisoformat(scorer.metadata["trained_at"])
    newest = _newest(engine, use_case, (at - maturity(use_case, config), at), (trained, at), days)
    metric = METRIC_OF[use_case]
    nothing = Realised(metric, None, None, None, len(newest), f"{len(newest)} of the {FEWEST} that are needed have come")
    if len(newest) < FEWEST:
        return Early(nothing, nothing, 0)
    now = _error(metric, newest, output, scorer.predict(newest.features)[output])
    first, end = newest.frame["ts"].min(), newest.frame["ts"].max() + _INSTANT
    for back in (timedelta(days=days * look) for look in range(_LOOKS, 0, -1)):
        told = trained - back, at - back
        before = labelled(engine, use_case, None, first - back, end - back, _MOST, told=told)
        if len(before) >= FEWEST:
            return Early(now, _error(metric, before, output, before.predictions[output]), back.days)
    return Early(now, Realised(metric, None, None, None, 0, "no earlier window had as many labels as early"), 0)


def _newest(
    engine: Engine, use_case: str, between: tuple[datetime, datetime], told: tuple[datetime, datetime], days: int
) -> Outcomes:
    """The labelled scores of the `days` days that end with the newest one."""
    newest = labelled(engine, use_case, None, *between, 1, newest=True, told=told)
    if not len(newest):
        return newest
    end = newest.frame["ts"].iloc[0] + _INSTANT
    return labelled(engine, use_case, None, max(between[0], end - timedelta(days=days)), end, _MOST, told=told)


def _error(metric: str, rows: Outcomes, output: str, predictions: np.ndarray) -> Realised:
    score, labels, weights = METRICS[metric], rows.labels[output], np.ones(len(rows))
    value = score.score(labels, predictions, weights)
    low, high = bootstrap_interval(
        score, labels, predictions, weights, replicates=_REPLICATES, level=_LEVEL, groups=clients_of(rows.frame)
    )
    months = _SIGMAS * MONTHLY * value
    return Realised(metric, value, value - hypot(value - low, months), value + hypot(high - value, months), len(rows))
