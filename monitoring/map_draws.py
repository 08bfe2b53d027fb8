"""What stated probabilities could mean, by everything that is not known of the map from stated to observed ones."""

from collections.abc import Iterator

import numpy as np
from scipy.special import expit, logit

from monitoring.recalibration import LEAST, design_of, recalibrate

_PERIODS = 8
"""Stretches of time that labelled rows are cut into."""
_LEAST_SHAPE = 0.1  # below it a single period would be nearly all of a draw
_LEVELS, _WORTH = 8, 3.0
"""At so many levels of what is stated it is believed as if as many rows had borne it out."""
_AT_ONCE = 20  # weightings refitted together, so that their arrays stay in the cache


def row_weights(clients: np.ndarray, ahead: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Weightings of labelled rows that are in order of time, as likely as they are; shape (draws, rows), each of mean 1.

    The Bayesian bootstrap by clients and by periods, long stretches of time: a stranger in an account makes all its payments, and
    a campaign strikes many clients, so that while it lasts the probabilities of all of them are off to one side. The weights of
    clients are exponential. Those of periods are gamma, with a variance of 1 for what few known periods say of all, and of
    (known rows / rows ahead) more for the campaigns of the window itself: the shorter it is, the less do they average out.
    Source: Rubin, The Bayesian Bootstrap (1981).

    Args:
        clients: a number from 0 for each row's client, shape (rows,).
        ahead: rows of the window that the map is carried to.
    """
    rows = len(clients)
    period = np.arange(rows) * _PERIODS // rows
    shape = max(_LEAST_SHAPE, 1 / (1 + rows / ahead))
    of_clients = rng.exponential(size=(draws, int(clients.max()) + 1))
    of_periods = rng.gamma(shape, 1 / shape, size=(draws, _PERIODS))
    weights = of_clients[:, clients] * of_periods[:, period]
    return np.asarray(weights / weights.mean(axis=1, keepdims=True))


def drawn_probabilities(
    known: np.ndarray,
    labels: np.ndarray,
    clients: np.ndarray,
    weights: np.ndarray,
    window: np.ndarray,
    draws: int,
    rng: np.random.Generator,
) -> Iterator[np.ndarray]:
    """The observed probabilities that those stated of the `window` could mean, as often as asked, each of shape (window rows,).

    In every draw the map is fitted anew on the labelled rows, weighted as `row_weights` says. A normal distribution around one
    fit would not do: where frauds are few, what could be is lopsided.

    Rows that were never seen stand for what is believed before: that what is stated is so. Else a handful of rows, all that there
    are of the highest probabilities, could mean anything. Source: Bedrick, Christensen and Johnson, A New Perspective on Priors
    for Generalized Linear Models (1996).

    Args:
        known, labels, clients, weights: of the labelled rows in order of time; `weights` make them look like those of the window.
    """
    believed = _believed(known, window)
    everything = np.r_[known, believed, believed], np.r_[labels, np.ones(_LEVELS), np.zeros(_LEVELS)]
    worth = _WORTH * np.r_[believed, 1 - believed]
    each_alone = int(clients.max()) + 1 + np.arange(2 * _LEVELS)
    fitted = recalibrate(*everything, np.r_[weights, worth], np.r_[clients, each_alone])
    design = design_of(window, fitted.knots)
    seen = weights * row_weights(clients, len(window), draws, rng)
    drawn = np.hstack([seen, worth * rng.exponential(size=(draws, 2 * _LEVELS))])
    for start in range(0, draws, _AT_ONCE):
        for theta in fitted.refitted(*everything, drawn[start : start + _AT_ONCE]):
            yield expit(design @ theta)


def _believed(known: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Probabilities at equal distances, in logits, from the least to the greatest that was stated."""
    least, most = logit(np.clip([min(known.min(), window.min()), max(known.max(), window.max())], LEAST, 1 - LEAST))
    return np.asarray(expit(np.linspace(least, most, _LEVELS)))
