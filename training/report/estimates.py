"""How sure the figures of a report are: the same bootstrap intervals that the gate goes by."""

from dataclasses import dataclass

from registry.bootstrap import Undefined
from registry.holdout import Holdout, Predictions


@dataclass(frozen=True)
class Estimate:
    """A metric on the holdout with its 90 % bootstrap interval (None where the rows are too few for one)."""

    value: float
    interval: tuple[float, float] | None


def estimated(holdout: Holdout, predictions: Predictions) -> Estimate:
    """The metric's average over the outputs of `holdout`, with its interval."""
    try:
        interval = holdout.interval(predictions)
    except Undefined:
        interval = None
    return Estimate(holdout.score(predictions), interval)
