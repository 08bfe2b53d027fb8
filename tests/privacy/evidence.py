"""What an attacker may conclude from samples: lower bounds of epsilon, and how often a guess is right."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import beta

THRESHOLDS = 20
CONFIDENCE = 0.95


def at_least(successes: int, trials: int, error: float) -> float:
    """Clopper-Pearson: the probability of success is at least this, unless a chance of `error` has struck."""
    return float(beta.ppf(error, successes, trials - successes + 1)) if successes else 0.0


def at_most(successes: int, trials: int, error: float) -> float:
    """Clopper-Pearson: the probability of success is at most this, unless a chance of `error` has struck."""
    return float(beta.ppf(1 - error, successes + 1, trials - successes)) if successes < trials else 1.0


def epsilon_at_least(present: Sequence[float], absent: Sequence[float], delta: float) -> float:
    """The epsilon that two samples of a statistic, with and without one client, refute at 95 % confidence.

    Every mechanism that is (epsilon, delta)-private keeps P(event | present) <= e^epsilon P(event | absent) + delta, and the
    other way round. The events are "above" and "below" each of 20 thresholds; the error is shared among all of them.
    """
    samples = np.sort(np.asarray(present)), np.sort(np.asarray(absent))
    borders = np.quantile(np.concatenate(samples), np.linspace(0, 1, THRESHOLDS + 2)[1:-1])
    error = (1 - CONFIDENCE) / (len(borders) * 4 * 2)
    below = [[int(np.searchsorted(sample, border)) for border in borders] for sample in samples]
    above = [[len(sample) - count for count in counts] for sample, counts in zip(samples, below, strict=True)]
    sizes = [len(sample) for sample in samples]
    found = [0.0]
    for counts in (below, above):
        for likely, unlikely in ((0, 1), (1, 0)):
            for often, seldom in zip(counts[likely], counts[unlikely], strict=True):
                excess = at_least(often, sizes[likely], error) - delta
                if excess > 0:
                    found.append(math.log(excess / at_most(seldom, sizes[unlikely], error)))
    return max(found)
