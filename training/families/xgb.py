"""XGBoost with histogram trees."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import xgboost

from training.families.problem import MOST_ROUNDS, Fitted, Problem, Report, Rows, Space, Watch, suggest, with_losses

_OBJECTIVES = {
    "log_loss": "binary:logistic",
    "softmax": "multi:softprob",
    "squared": "reg:squarederror",
    "absolute": "reg:absoluteerror",
    "quantile": "reg:quantileerror",
}
_METRICS = {"log_loss": "logloss", "softmax": "mlogloss", "quantile": "quantile"}
_SPACE: Space = {
    "learning_rate": (0.02, 0.2, "log"),
    "max_depth": (2, 9),
    "min_child_weight": (0.5, 60.0, "log"),
    "subsample": (0.5, 1.0),
    "colsample_bynode": (0.3, 1.0),
    "lambda": (0.1, 30.0, "log"),
}


class XGBoost:
    """XGBoost with histogram trees."""

    name = "xgboost"

    def portfolio(self, problem: Problem) -> list[dict[str, Any]]:
        """Configurations that are good without any search, the best first."""
        strong = {
            "learning_rate": 0.05,
            "max_depth": 6,
            "min_child_weight": 4.0,
            "subsample": 0.9,
            "colsample_bynode": 0.6,
            "lambda": 2.0,
        }
        shallow = {**strong, "max_depth": 3, "colsample_bynode": 0.5, "lambda": 5.0}
        return with_losses(problem, strong, shallow)

    def suggest(self, trial: optuna.Trial, problem: Problem) -> dict[str, Any]:
        """A configuration from the search space."""
        return suggest(trial, self.name, _SPACE, problem)

    def prepare(self, problem: Problem, train: Rows, validation: Rows) -> tuple[Any, Any]:
        """Two quantile matrices, the second binned like the first."""
        first = self._data(problem, train)
        return first, self._data(problem, validation, ref=first)

    def fit(self, problem: Problem, data: tuple[Any, Any], params: Mapping[str, Any], report: Report) -> Fitted:
        """Boost with early stopping on validation."""
        watch = Watch(report, params["learning_rate"])
        booster = xgboost.train(
            self._settings(problem, params),
            data[0],
            num_boost_round=MOST_ROUNDS,
            evals=[(data[1], "validation")],
            callbacks=[_Callback(watch)],
            verbose_eval=False,
        )
        return self._fitted(problem, booster, watch.best_round + 1)

    def refit(self, problem: Problem, rows: Rows, params: Mapping[str, Any], rounds: int) -> Fitted:
        """Boost a fixed number of rounds on all rows."""
        booster = xgboost.train(self._settings(problem, params), self._data(problem, rows), num_boost_round=rounds)
        return self._fitted(problem, booster, rounds)

    def _settings(self, problem: Problem, params: Mapping[str, Any]) -> dict[str, Any]:
        problem, rest = problem.configured(params)
        settings = {
            **rest,
            "objective": _OBJECTIVES[problem.loss],
            "eval_metric": _METRICS.get(problem.loss, problem.watched),
            "tree_method": "hist",
            "seed": problem.seed,
            "nthread": problem.threads,
        }
        if problem.loss == "softmax":
            settings["num_class"] = problem.classes
        if problem.loss == "quantile":
            settings["quantile_alpha"] = problem.quantile
        if any(problem.monotone):
            settings["monotone_constraints"] = tuple(problem.monotone)
        return settings

    def _data(self, problem: Problem, rows: Rows, ref: Any = None) -> Any:
        return xgboost.QuantileDMatrix(
            rows.matrix,
            rows.labels,
            weight=rows.weights,
            feature_types=_types(problem, rows.matrix.shape[1]),
            enable_categorical=True,
            ref=ref,
            nthread=problem.threads,
        )

    def _fitted(self, problem: Problem, booster: Any, rounds: int) -> Fitted:
        def margin(matrix: np.ndarray) -> np.ndarray:
            types = _types(problem, matrix.shape[1])
            data = xgboost.DMatrix(matrix, feature_types=types, enable_categorical=True, nthread=problem.threads)
            return booster.predict(data, output_margin=True, iteration_range=(0, rounds))

        return Fitted(rounds, margin, lambda path: booster[:rounds].save_model(str(path)))


def _types(problem: Problem, width: int) -> list[str]:
    return ["c" if index in problem.categorical else "q" for index in range(width)]


class _Callback(xgboost.callback.TrainingCallback):
    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
        return self._watch.should_stop(epoch, next(iter(evals_log["validation"].values()))[-1])
