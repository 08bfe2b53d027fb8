"""How large the errors of predicted amounts are, learned from labelled rows."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.linear_model import PoissonRegressor

_KNOTS = (1 / 3, 2 / 3)  # quantiles of the logarithm of the predictions
_RIDGE = 1e-4
_LEAST = 1e-9


@dataclass(frozen=True, eq=False)
class Amounts:
    """Predicted amounts as an estimator takes them; arrays of shape (rows,) but for `matrix`, in order of time.

    Attributes:
        matrix: encoded features, shape (rows, features), NaN = missing.
        predictions, low, high: in the units of the label, with the bounds of each prediction's own interval.
        labels: NaN = none.
        clients: equal numbers are rows of one client.
        months: equal numbers are rows of one month, all 0 where that is not known.
    """

    matrix: np.ndarray
    predictions: np.ndarray
    low: np.ndarray
    high: np.ndarray
    labels: np.ndarray
    clients: np.ndarray
    months: np.ndarray

    def __len__(self) -> int:
        return len(self.predictions)

    def take(self, rows: np.ndarray) -> "Amounts":
        """Some of the rows, by position or mask."""
        return Amounts(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @property
    def errors(self) -> np.ndarray:
        """|label - prediction|."""
        return np.asarray(np.abs(self.labels - self.predictions))

    @cached_property
    def units(self) -> tuple[np.ndarray, int]:
        """The client of each row as a number from 0, and how many clients there are."""
        member = np.unique(self.clients, return_inverse=True)[1]
        return member, int(member.max()) + 1


class ErrorModel:
    """E|error| = exp(linear in log prediction, with two bends, and in the log of the interval's relative width).

    Poisson quasi-likelihood: on the rows it is fitted on, expected and observed errors have the same weighted sum.
    Source: Gourieroux, Monfort, Trognon, Pseudo Maximum Likelihood Methods (1984).
    """

    def __init__(self, known: Amounts) -> None:
        self._knots = np.quantile(_log(known.predictions), _KNOTS)
        design = self._raw(known)
        self._centre, self._spread = design.mean(axis=0), np.maximum(design.std(axis=0), _LEAST)
        self._known, self._errors = self.design(known), known.errors
        self._scale = max(float(self._errors.mean()), _LEAST)

    def design(self, rows: Amounts) -> np.ndarray:
        """What the model knows of rows, shape (rows, terms); beyond five standard deviations it does not extrapolate."""
        return np.asarray(np.clip((self._raw(rows) - self._centre) / self._spread, -5, 5))

    def expected(self, weights: np.ndarray, *designs: np.ndarray) -> list[np.ndarray]:
        """Expected absolute errors by design, in the units of the label, fitted on the known rows with these weights."""
        model = PoissonRegressor(alpha=_RIDGE, solver="newton-cholesky", max_iter=30, tol=1e-3)
        model.fit(self._known, self._errors / self._scale, sample_weight=weights)
        return [self._scale * np.exp(design @ model.coef_ + model.intercept_) for design in designs]

    def _raw(self, rows: Amounts) -> np.ndarray:
        level = _log(rows.predictions)
        width = _log(rows.high - rows.low) - level
        return np.column_stack([level, width, *(np.maximum(level - knot, 0.0) for knot in self._knots)])


def _log(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.maximum(values, _LEAST)))
