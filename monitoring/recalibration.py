"""How far probabilities can be believed: a smooth map from stated to observed ones, with its uncertainty."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import chi2

LEAST = 1e-6
"""Nothing is less probable here, or more than 1 less this: logits have to be finite."""
_STEPS = 25
_CLOSE = 1e-4  # a step is about the square of the one before, so that what is left is far less
_RIDGE = 0.05  # holds on to the identity where there are few rows or one class only
_LEVEL = 0.01
_FAR = 0.25
_KNOTS = (0.25, 0.75)  # quantiles of the logits of label 1
_BEND_RIDGE = 0.5


@dataclass(frozen=True)
class Recalibration:
    """logit(observed) = slope · z + intercept + one bend at each knot, with z = logit(stated), fitted on labelled rows.

    Source: Cox, Two further applications of a model for binary regression (1958); the bends are a linear spline, so that
    the map may be steeper for rare than for common cases.

    Attributes:
        theta: (slope, intercept, bend, …); (1, 0, 0, …) for calibrated probabilities.
        covariance: of theta, by the sandwich estimator, so that weights and clients are accounted for.
        knots: where the bends are, in logits.
        ratio: mean stated / mean observed probability.
    """

    theta: np.ndarray
    covariance: np.ndarray
    knots: np.ndarray
    ratio: float

    def refitted(self, probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Theta for each of several weightings of the labelled rows, shape (weightings, parameters).

        Args:
            probabilities, labels: shape (rows,), as the map was fitted on them.
            weights: shape (weightings, rows).
        """
        return _newton(design_of(probabilities, self.knots), labels, weights, self.theta)

    def miscalibration(self) -> str:
        """In words why the probabilities cannot be believed; empty when they can.

        They must be off beyond chance (Wald test at 1 %), and far: slope or mean by more than a quarter.
        """
        off = self.theta - _identity(len(self.theta))
        chance = float(chi2.sf(off @ np.linalg.solve(self.covariance, off), len(off)))
        if chance >= _LEVEL or max(abs(self.theta[0] - 1), abs(np.log(self.ratio)) if self.ratio > 0 else np.inf) <= _FAR:
            return ""
        return f"stated probabilities are {self.ratio:.2f} times the observed ones, with slope {self.theta[0]:.2f} instead of 1"


def recalibrate(
    probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray, clients: np.ndarray, bends: bool = True
) -> Recalibration:
    """Fit the map on rows with labels 0 and 1; arrays of shape (rows,). Without `bends` it is a straight line of logits.

    Rows of one of the `clients`, numbers from 0, go together in the covariance: a stranger in an account makes all its payments.
    """
    logits = _logit(probabilities)
    knots = np.unique(np.quantile(logits[labels == 1], _KNOTS)) if bends and (labels == 1).any() else np.empty(0)
    design = design_of(probabilities, knots)
    (theta,) = _newton(design, labels, weights[None], _identity(design.shape[1]))
    stated = expit(design @ theta)
    inverse = np.linalg.inv((design * (weights * stated * (1 - stated))[:, None]).T @ design + _ridge(len(theta)))
    sums = np.zeros((int(clients.max()) + 1, len(theta)))
    np.add.at(sums, clients, design * (weights * (labels - stated))[:, None])
    covariance = inverse @ (sums.T @ sums) @ inverse + 1e-10 * np.eye(len(theta))
    observed = float(np.average(labels, weights=weights))
    ratio = float(np.average(probabilities, weights=weights)) / observed if observed > 0 else np.inf
    return Recalibration(theta, covariance, knots, ratio)


def design_of(probabilities: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """What maps are linear in, shape (rows, parameters): logit(observed) = design @ theta."""
    logits = _logit(probabilities)
    bends = np.maximum(logits[:, None] - knots, 0.0)
    return np.column_stack([logits, np.ones(len(logits)), bends])


def _newton(design: np.ndarray, labels: np.ndarray, weights: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Theta by Newton's method for each weighting, all from the same start; weights (weightings, rows)."""
    parameters = design.shape[1]
    identity, ridge = _identity(parameters), _ridge(parameters)
    squares = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    theta = np.tile(start, (len(weights), 1))
    for _ in range(_STEPS):
        stated = expit(theta @ design.T)
        hessian = ((weights * stated * (1 - stated)) @ squares).reshape(-1, parameters, parameters) + ridge
        gradient = (weights * (labels - stated)) @ design - (theta - identity) @ ridge
        step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        theta = theta + np.clip(step, -1, 1)
        if np.abs(step).max() < _CLOSE:
            break
    return theta


def _identity(parameters: int) -> np.ndarray:
    return np.asarray(np.r_[1.0, np.zeros(parameters - 1)])


def _ridge(parameters: int) -> np.ndarray:
    return np.diag([_RIDGE, _RIDGE, *[_BEND_RIDGE] * (parameters - 2)])


def _logit(probabilities: np.ndarray) -> np.ndarray:
    return np.asarray(logit(np.clip(probabilities, LEAST, 1 - LEAST)))
