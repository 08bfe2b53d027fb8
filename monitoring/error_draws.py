"""Mean errors that a window without labels could have, by everything that is not known of them."""

from collections.abc import Iterator

import numpy as np

from monitoring.error_model import Amounts, ErrorModel

_TAIL = 0.9
"""Quantile of the relative errors (error / expected error) from which their tail is Pareto's."""
_HEAVIEST = 0.45  # below 0.5 the variance is finite
MONTHLY = 0.1
"""By how much the errors of whole months differ, relative, where no months are known."""
_MONTHLY_WORTH = 3  # as much as so many months that are known


def drawn_means(known: Amounts, weights: np.ndarray, window: Amounts, draws: int, rng: np.random.Generator) -> Iterator[float]:
    """Mean absolute errors that the window could have; `weights` of the known rows make them look like the window's.

    In every draw the clients of the known rows are drawn anew and the model is fitted on them (its uncertainty); each client of
    the window gets the relative errors of one of them, those in the tail drawn from a Pareto distribution of the same mean and
    the tail's index, since the largest error to come may be larger than any that was seen (luck of the window); and the errors
    of each month are larger or smaller together, as those of the known months are (bonuses, seasons).
    Sources: Efron, Tibshirani, An Introduction to the Bootstrap (1993); Hill, A Simple General Approach to Inference About
    the Tail of a Distribution (1975).
    """
    model, (member, count), (receiver, receivers) = ErrorModel(known), known.units, window.units
    designs = model.design(known), model.design(window)
    order, sizes = np.argsort(member, kind="stable"), np.bincount(member)
    starts, likely = np.cumsum(sizes) - sizes, np.bincount(member, weights) / sizes
    shocks = _monthly(known, model, window, rng)
    for _ in range(draws):
        times = np.bincount(rng.integers(0, count, count), minlength=count)
        drawn = weights * times[member]
        expected, ahead = model.expected(drawn, *designs)
        chances = times * likely
        donor = rng.choice(count, receivers, p=chances / chances.sum())[receiver]
        rows = order[starts[donor] + (rng.random(len(window)) * sizes[donor]).astype(int)]
        relative = known.errors / expected
        relative /= max(float(np.average(relative, weights=drawn)), 1e-9)  # else too much where small errors vary more
        luck = _with_tail(relative, drawn, rows, rng.exponential(size=receivers)[receiver])
        yield float(np.mean(ahead * luck * next(shocks)))


def _with_tail(relative: np.ndarray, weights: np.ndarray, rows: np.ndarray, exponential: np.ndarray) -> np.ndarray:
    """Relative errors of `rows`, those in the tail replaced by Pareto's: exp(index · standard exponential), to the same mean."""
    ascending = np.argsort(relative)
    cumulative = np.cumsum(weights[ascending])
    edge = relative[ascending][np.searchsorted(cumulative, _TAIL * cumulative[-1])]
    tail = (relative > edge) & (weights > 0)
    if not tail.any() or edge <= 0:
        return np.asarray(relative[rows])
    index = min(float(np.average(np.log(relative[tail] / edge), weights=weights[tail])), _HEAVIEST)
    mean = float(np.average(relative[tail], weights=weights[tail]))
    return np.where(relative[rows] > edge, mean * (1 - index) * np.exp(index * exponential), relative[rows])


def _monthly(known: Amounts, model: ErrorModel, window: Amounts, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Factors of the window's rows, those of a month alike, by the spread of the months of the known rows.

    The spread is drawn as well, since few months say little of it: from a scaled inverse chi-squared distribution whose mean
    is the pooled square. Source: Gelman et al., Bayesian Data Analysis (2013), section 2.6.
    """
    (expected,) = model.expected(np.ones(len(known)), model.design(known))
    month, of = np.unique(known.months, return_inverse=True)[1], np.unique(window.months, return_inverse=True)[1]
    means = np.log(np.bincount(month, known.errors) / np.bincount(month, expected))
    freedom = _MONTHLY_WORTH + len(means) - 1
    total = _MONTHLY_WORTH * MONTHLY**2 + ((means - means.mean()) ** 2).sum()
    while True:
        spread = np.sqrt(total / rng.chisquare(freedom + 2))
        shared, own = rng.normal() / np.sqrt(len(means)), rng.normal(size=int(of.max()) + 1)
        yield np.exp(spread * (shared + own[of]))
