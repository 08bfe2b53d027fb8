"""What stated probabilities could mean, by everything that is not known of the map from stated to observed ones."""

from collections.abc import Iterator

import numpy as np
from scipy.special import expit

from monitoring.recalibration import design_of, recalibrate

_PERIODS = 8
"""Stretches of time that labelled rows are cut into."""
_LEAST_SHAPE = 0.1  # below it a single period would be nearly all of a draw
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

    Args:
        known, labels, clients, weights: of the labelled rows in order of time; `weights` make them look like those of the window.
    """
    fitted = recalibrate(known, labels, weights, clients)
    design = design_of(window, fitted.knots)
    drawn = weights * row_weights(clients, len(window), draws, rng)
    for start in range(0, draws, _AT_ONCE):
        for theta in fitted.refitted(known, labels, drawn[start : start + _AT_ONCE]):
            yield expit(design @ theta)
