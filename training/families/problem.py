"""What the three families have in common: rows, the problem, the fitted result, early stopping, a search space."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import optuna

Report = Callable[[int, float], bool]
"""Called after each boosting round with its number and the least validation loss so far; True asks to stop boosting."""
Loss = Literal["log_loss", "softmax", "squared", "absolute", "quantile"]
PATIENCE = 3.0
"""Boosting stops early after this much boosting time (rounds x learning rate) without a lower validation loss."""
MOST_ROUNDS = 4000


@dataclass(frozen=True)
class Rows:
    """Rows for one output: matrix (rows, features), labels in margin space for regressions, 0/1 or class codes; weights."""

    matrix: np.ndarray
    labels: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Problem:
    """What a family needs to know besides the rows.

    Attributes:
        loss: what boosting minimises; for amounts, a configuration's own "loss" (squared or absolute) replaces it.
        categorical: positions of the category columns.
        seed: of row and column sampling.
        threads: how many threads one fit takes.
        watched: of amounts, the error that early stopping goes by: "mae" or "rmse".
        classes: how many classes there are, for "softmax".
        monotone: per column 1 (may only rise), -1 (may only fall) or 0; empty = no constraint.
        quantile: the quantile to learn, for "quantile".
    """

    loss: Loss
    categorical: list[int]
    seed: int
    threads: int = 1
    watched: Literal["mae", "rmse"] = "mae"
    classes: int = 2
    monotone: tuple[int, ...] = ()
    quantile: float = 0.5

    @property
    def amounts(self) -> bool:
        """Whether labels are amounts, so that the loss can be chosen."""
        return self.loss in {"squared", "absolute"}

    def configured(self, params: Mapping[str, Any]) -> tuple["Problem", dict[str, Any]]:
        """The problem with the loss that the configuration asks for, and the configuration without it."""
        rest = {name: value for name, value in params.items() if name != "loss"}
        return replace(self, loss=params.get("loss", self.loss)), rest


@dataclass(frozen=True)
class Fitted:
    """A fitted ensemble: margins for a matrix, how many rounds it has, how to save it natively."""

    rounds: int
    margin: Callable[[np.ndarray], np.ndarray]
    save: Callable[[Path], None]


class Family(Protocol):
    """One boosting library. `prepare` bins the rows once; every trial reuses the result."""

    name: str

    def portfolio(self, problem: Problem) -> list[dict[str, Any]]:
        """Configurations that are good without any search, the best first."""

    def suggest(self, trial: optuna.Trial, problem: Problem) -> dict[str, Any]:
        """A configuration from the search space."""

    def prepare(self, problem: Problem, train: Rows, validation: Rows) -> tuple[Any, Any]:
        """The library's own data sets for train and validation."""

    def fit(self, problem: Problem, data: tuple[Any, Any], params: Mapping[str, Any], report: Report) -> Fitted:
        """Boost with early stopping on validation."""

    def refit(self, problem: Problem, rows: Rows, params: Mapping[str, Any], rounds: int) -> Fitted:
        """Boost a fixed number of rounds on all rows."""


class Watch:
    """Early stopping, the same for the three libraries: remembers the best round, listens to `report`."""

    def __init__(self, report: Report, learning_rate: float) -> None:
        self._report = report
        self._patience = PATIENCE / learning_rate
        self._loss = np.inf
        self.best_round = 0

    def should_stop(self, step: int, loss: float) -> bool:
        """Note the validation loss of a round; whether boosting is to stop."""
        if loss < self._loss:
            self.best_round, self._loss = step, loss
        return step - self.best_round >= self._patience or self._report(step, self._loss)


Space = Mapping[str, tuple[float, float] | tuple[float, float, Literal["log"]]]
"""Bounds by parameter, whole numbers where both bounds are; "log" = searched on a logarithmic scale."""


def suggest(trial: optuna.Trial, family: str, space: Space, problem: Problem) -> dict[str, Any]:
    """A configuration from `space`, and for amounts the loss to minimise."""
    params: dict[str, Any] = {}
    for name, (low, high, *scale) in space.items():
        pick = trial.suggest_int if isinstance(low, int) and isinstance(high, int) else trial.suggest_float
        params[name] = pick(f"{family}_{name}", low, high, log=bool(scale))  # type: ignore[arg-type]
    if problem.amounts:
        params["loss"] = trial.suggest_categorical(f"{family}_loss", ["squared", "absolute"])
    return params


def with_losses(problem: Problem, *portfolio: dict[str, Any]) -> list[dict[str, Any]]:
    """The portfolio; for amounts, the first of it by each loss: the one that is watched first."""
    if not problem.amounts:
        return list(portfolio)
    losses = ("absolute", "squared") if problem.watched == "mae" else ("squared", "absolute")
    return [{**portfolio[0], "loss": loss} for loss in losses]
