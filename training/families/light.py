"""LightGBM with leaf-wise trees."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import optuna

from training.families.problem import MOST_ROUNDS, Fitted, Problem, Report, Rows, Space, Watch, suggest, with_losses

_FEATURE_INFOS = re.compile(rb"^feature_infos=.*$", re.MULTILINE)
_RANGE = re.compile(rb"\[[^\]\s]*:[^\]\s]*\]")
_OBJECTIVES = {
    "log_loss": "binary",
    "softmax": "multiclass",
    "squared": "regression",
    "absolute": "regression_l1",
    "quantile": "quantile",
}
_METRICS = {"log_loss": "binary_logloss", "softmax": "multi_logloss", "quantile": "quantile"}
_SPACE: Space = {
    "learning_rate": (0.02, 0.2, "log"),
    "num_leaves": (5, 127, "log"),
    "min_data_in_leaf": (5, 200, "log"),
    "feature_fraction": (0.3, 1.0),
    "bagging_fraction": (0.5, 1.0),
    "lambda_l2": (0.1, 30.0, "log"),
    "path_smooth": (0.0, 10.0),
    "cat_smooth": (1.0, 100.0, "log"),
}


class LightGBM:
    """LightGBM with leaf-wise trees."""

    name = "lightgbm"

    def portfolio(self, problem: Problem) -> list[dict[str, Any]]:
        """Configurations that are good without any search, the best first."""
        strong = {
            "learning_rate": 0.05,
            "num_leaves": 15,
            "min_data_in_leaf": 10,
            "feature_fraction": 0.4,
            "bagging_fraction": 1.0,
            "lambda_l2": 2.0,
            "path_smooth": 2.0,
            "cat_smooth": 10.0,
        }
        small = {**strong, "learning_rate": 0.04, "num_leaves": 7, "min_data_in_leaf": 50, "lambda_l2": 5.0}
        return with_losses(problem, strong, small)

    def suggest(self, trial: optuna.Trial, problem: Problem) -> dict[str, Any]:
        """A configuration from the search space."""
        return suggest(trial, self.name, _SPACE, problem)

    def prepare(self, problem: Problem, train: Rows, validation: Rows) -> tuple[Any, Any]:
        """Two Datasets, the second binned like the first."""
        first = self._data(problem, train)
        return first, self._data(problem, validation, first)

    def fit(self, problem: Problem, data: tuple[Any, Any], params: Mapping[str, Any], report: Report) -> Fitted:
        """Boost with early stopping on validation."""
        watch = Watch(report, params["learning_rate"])
        settings = self._settings(problem, params)
        booster = lightgbm.train(settings, data[0], MOST_ROUNDS, valid_sets=[data[1]], callbacks=[_callback(watch)])
        return _fitted(booster, watch.best_round + 1)

    def refit(self, problem: Problem, rows: Rows, params: Mapping[str, Any], rounds: int) -> Fitted:
        """Boost a fixed number of rounds on all rows."""
        return _fitted(lightgbm.train(self._settings(problem, params), self._data(problem, rows), rounds), rounds)

    def _settings(self, problem: Problem, params: Mapping[str, Any]) -> dict[str, Any]:
        problem, rest = problem.configured(params)
        settings = {
            **rest,
            "objective": _OBJECTIVES[problem.loss],
            "metric": _METRICS.get(problem.loss, problem.watched),
            "alpha": problem.quantile,
            "seed": problem.seed,
            "num_threads": problem.threads,
            "bagging_freq": 1,
            "verbosity": -1,
            "deterministic": True,
            "force_row_wise": True,
            "feature_pre_filter": False,
        }
        if problem.loss == "softmax":
            settings["num_class"] = problem.classes
        if any(problem.monotone):
            settings["monotone_constraints"] = list(problem.monotone)
        return settings

    def _data(self, problem: Problem, rows: Rows, reference: Any = None) -> Any:
        return lightgbm.Dataset(
            rows.matrix,
            rows.labels,
            reference=reference,
            weight=rows.weights,
            categorical_feature=problem.categorical,
            params={"feature_pre_filter": False, "verbosity": -1, "num_threads": problem.threads},
            free_raw_data=False,
        ).construct()


def _fitted(booster: Any, rounds: int) -> Fitted:
    return Fitted(
        rounds,
        lambda matrix: np.asarray(booster.predict(matrix, raw_score=True, num_iteration=rounds)),
        lambda path: _save(booster, rounds, path),
    )


def _save(booster: Any, rounds: int, path: Path) -> None:
    """Write the model without each feature's smallest and largest value: they are those of clients, and nothing reads them."""
    booster.save_model(str(path), num_iteration=rounds)
    path.write_bytes(_FEATURE_INFOS.sub(lambda line: _RANGE.sub(b"none", line[0]), path.read_bytes(), count=1))


def _callback(watch: Watch) -> Callable[[Any], None]:
    def after_round(env: Any) -> None:
        if watch.should_stop(env.iteration, env.evaluation_result_list[0][2]):
            raise lightgbm.callback.EarlyStopException(watch.best_round, env.evaluation_result_list)

    return after_round
