"""How far probabilities can be believed: a smooth map from stated to observed ones, with its uncertainty."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import chi2

_STEPS = 25
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
        covariance: of theta, by the sandwich estimator, so that weights, clients and periods are accounted for.
        knots: where the bends are, in logits.
        ratio: mean stated / mean observed probability.
        freedom: degrees of freedom of the covariance; infinite where no periods were told.
    """

    theta: np.ndarray
    covariance: np.ndarray
    knots: np.ndarray
    ratio: float
    freedom: float = np.inf

    def draws(self, probabilities: np.ndarray, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """What the stated probabilities could mean, by maps as likely as the labelled rows allow."""
        design = _design(probabilities, self.knots)
        off = rng.multivariate_normal(np.zeros(len(self.theta)), self.covariance, size=count, method="cholesky")
        if np.isfinite(self.freedom):
            off /= np.sqrt(rng.chisquare(self.freedom, size=(count, 1)) / self.freedom)  # Student's t in several dimensions
        for theta in self.theta + off:
            yield expit(design @ theta)

    def miscalibration(self) -> str:
        """In words why the probabilities cannot be believed; empty when they can.

        They must be off beyond chance (Wald test at 1 %), and far: slope or mean by more than a quarter.
        """
        off = self.theta - _identity(self.knots)
        chance = float(chi2.sf(off @ np.linalg.solve(self.covariance, off), len(off)))
        if chance >= _LEVEL or max(abs(self.theta[0] - 1), abs(np.log(self.ratio)) if self.ratio > 0 else np.inf) <= _FAR:
            return ""
        return f"stated probabilities are {self.ratio:.2f} times the observed ones, with slope {self.theta[0]:.2f} instead of 1"


def recalibrate(
    probabilities: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    clients: np.ndarray,
    bends: bool = True,
    periods: np.ndarray | None = None,
) -> Recalibration:
    """Fit the map on rows with labels 0 and 1; arrays of shape (rows,). Without `bends` it is a straight line of logits.

    Rows of one of the `clients`, numbers from 0, go together in the covariance: a stranger in an account makes all its payments.
    So do the rows of one of the `periods`, long stretches of time, numbers from 0, where they show more than the clients do: one
    campaign strikes many clients, and while it lasts the probabilities of all of them are off to one side. A few periods do not
    give their covariance exactly, which `freedom` says.
    Source: Bester, Conley, Hansen, Inference with Dependent Data Using Cluster Covariance Estimators (2011).
    """
    logits = _logit(probabilities)
    knots = np.unique(np.quantile(logits[labels == 1], _KNOTS)) if bends and (labels == 1).any() else np.empty(0)
    design = _design(probabilities, knots)
    identity = _identity(knots)
    ridge = np.diag([_RIDGE, _RIDGE, *[_BEND_RIDGE] * len(knots)])
    theta = identity.copy()
    for _ in range(_STEPS):
        stated = expit(design @ theta)
        hessian = (design * (weights * stated * (1 - stated))[:, None]).T @ design + ridge
        step = np.linalg.solve(hessian, design.T @ (weights * (labels - stated)) - ridge @ (theta - identity))
        theta = theta + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-8:
            break
    residuals = design * (weights * (labels - expit(design @ theta)))[:, None]
    inverse, freedom = np.linalg.inv(hessian), np.inf
    covariance = inverse @ _squares(residuals, clients) @ inverse + 1e-10 * np.eye(len(theta))
    if periods is not None:
        freedom = float(periods.max())
        among = inverse @ _squares(residuals, periods) @ inverse * (freedom + 1) / freedom
        covariance = _at_least(covariance, among)
    observed = float(np.average(labels, weights=weights))
    ratio = float(np.average(probabilities, weights=weights)) / observed if observed > 0 else np.inf
    return Recalibration(theta, covariance, knots, ratio, freedom)


def _squares(residuals: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Sum over the groups, numbers from 0, of the squared sums of their residuals; shape (parameters, parameters)."""
    sums = np.zeros((int(groups.max()) + 1, residuals.shape[1]))
    np.add.at(sums, groups, residuals)
    return np.asarray(sums.T @ sums)


def _at_least(least: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The covariance `least`, raised to `other` in the directions in which that is the greater one."""
    root = np.linalg.cholesky(least)
    inverse = np.linalg.inv(root)
    values, vectors = np.linalg.eigh(inverse @ other @ inverse.T)
    axes = root @ vectors
    return np.asarray((axes * np.maximum(values, 1)) @ axes.T)


def _identity(knots: np.ndarray) -> np.ndarray:
    return np.asarray(np.r_[1.0, np.zeros(1 + len(knots))])


def _design(probabilities: np.ndarray, knots: np.ndarray) -> np.ndarray:
    logits = _logit(probabilities)
    bends = np.maximum(logits[:, None] - knots, 0.0)
    return np.column_stack([logits, np.ones(len(logits)), bends])


def _logit(probabilities: np.ndarray) -> np.ndarray:
    return np.asarray(logit(np.clip(probabilities, 1e-6, 1 - 1e-6)))
