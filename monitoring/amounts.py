"""What the mean error of predicted amounts will turn out to be, before the labels come.

An error model learns on labelled rows how large errors are at a prediction and a width of its interval, carries that to the rows
of a window, and draws what their errors could be; the interval holds 90 % of the means of these draws. It presumes that errors
depend on prediction and width as before: where the labels that are known contradict that, nothing is estimated.
"""

import numpy as np

from monitoring.density import density_ratio
from monitoring.error_draws import drawn_means
from monitoring.error_model import Amounts, ErrorModel
from monitoring.estimation import FEWEST_LABELLED, FEWEST_ROWS, LEVELS, Estimated, NotEstimable, too_few

STATED = 0.9
"""Share of the labels that the intervals of the predictions claim to hold."""
_MISSED = (0.25, 2.0)
"""Times the stated share of misses below and above which intervals cannot be believed."""
_FAR = 1.25
_BEYOND_CHANCE = 2.576  # standard errors: two-sided level of 1 %
_DRAWS = 200


def expected_error(name: str, known: Amounts, window: Amounts, seed: int) -> Estimated | NotEstimable:
    """The mean absolute error expected of `window`, under the metric's `name`, learned from the labelled rows `known`.

    Its interval accounts for the luck of the window, whose clients may have several rows each, for the uncertainty of the
    error model, and for errors larger than any seen yet.
    """
    unfit = _unfit(known, window) or _contradicted(known)
    if unfit:
        return NotEstimable(unfit)
    weights = density_ratio(known.matrix, window.matrix, seed)
    drawn = np.fromiter(drawn_means(known, weights, window, _DRAWS, np.random.default_rng(seed)), dtype="float64")
    low, high = np.quantile(drawn, LEVELS)
    return Estimated(name, float(drawn.mean()), float(low), float(high), len(window))


def enough(known: Amounts) -> bool:
    """Whether labelled rows suffice to learn from, however large the window is."""
    return len(known) >= FEWEST_LABELLED


def _unfit(known: Amounts, window: Amounts) -> str:
    if not enough(known) or len(window) < FEWEST_ROWS:
        return too_few(len(known), len(window))
    return ""


def _contradicted(known: Amounts) -> str:
    """In words what the labels say against the model's own intervals, or against errors that stay as they were."""
    missed = ((known.labels < known.low) | (known.labels > known.high)).astype("float64")
    share, stated = missed.mean(), 1 - STATED
    beyond_chance = abs(share - stated) > _BEYOND_CHANCE * _standard_error(missed, known.clients)
    if beyond_chance and not _MISSED[0] * stated <= share <= _MISSED[1] * stated:
        return f"the intervals of the newest labelled rows hold {1 - share:.0%} of the labels instead of {STATED:.0%}"
    return _changed(known)


def _changed(known: Amounts) -> str:
    """Whether the errors of the newer half are other than a model of the older half expects, beyond chance and far."""
    older, newer = (known.take(half) for half in np.array_split(np.arange(len(known)), 2))
    model = ErrorModel(older)
    expected = model.expected(np.ones(len(older)), model.design(older), model.design(newer))
    before, after = older.errors / expected[0], newer.errors / expected[1]
    error = np.hypot(_standard_error(before, older.clients), _standard_error(after, newer.clients) / after.mean())
    times = float(after.mean())
    if abs(np.log(times)) <= max(np.log(_FAR), _BEYOND_CHANCE * error):
        return ""
    return f"errors of the newest labelled rows are {times:.2f} times those that the ones before them led to expect"


def _standard_error(values: np.ndarray, clients: np.ndarray) -> float:
    """Of the mean of values (rows,), whose rows of one client go together."""
    sums = np.bincount(np.unique(clients, return_inverse=True)[1], values - values.mean())
    return float(np.sqrt((sums**2).sum()) / len(values))
