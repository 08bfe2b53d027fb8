"""XGBoost, LightGBM and CatBoost: search space, strong defaults, and fitting with native categories and missing values."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import catboost
import lightgbm
import numpy as np
import optuna
import xgboost

from registry.boosters import catboost_frame

Report = Callable[[int, float], bool]
"""Called after each boosting round with its number and the least validation loss so far; True asks to stop boosting."""
THREADS = os.cpu_count() or 1
PATIENCE = 40
MOST_ROUNDS = 2000


@dataclass(frozen=True)
class Rows:
    """Rows for one output: matrix (rows, features), labels in margin space for regressions and 0/1 for binary, weights."""

    matrix: np.ndarray
    labels: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Problem:
    """What a family needs to know besides the rows: the loss, which columns are categories, the seed."""

    binary: bool
    categorical: list[int]
    seed: int


@dataclass(frozen=True)
class Fitted:
    """A fitted ensemble: margins for a matrix, how many rounds it has, how to save it natively."""

    rounds: int
    margin: Callable[[np.ndarray], np.ndarray]
    save: Callable[[Path], None]


class Family(Protocol):
    """One boosting library. `prepare` bins the rows once; every trial reuses the result."""

    name: str

    def defaults(self) -> dict[str, Any]:
        """A configuration that is good without any search."""

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """A configuration from the search space."""

    def prepare(self, problem: Problem, train: Rows, validation: Rows) -> tuple[Any, Any]:
        """The library's own data sets for train and validation."""

    def fit(self, problem: Problem, data: tuple[Any, Any], params: dict[str, Any], report: Report) -> Fitted:
        """Boost with early stopping on validation."""

    def refit(self, problem: Problem, rows: Rows, params: dict[str, Any], rounds: int) -> Fitted:
        """Boost a fixed number of rounds on all rows."""


class XGBoost:
    """XGBoost with histogram trees."""

    name = "xgboost"

    def defaults(self) -> dict[str, Any]:
        return {
            "learning_rate": 0.06,
            "max_depth": 6,
            "min_child_weight": 4.0,
            "subsample": 0.8,
            "colsample_bytree": 0.6,
            "lambda": 2.0,
        }

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        return {
            "learning_rate": trial.suggest_float("xgboost_learning_rate", 0.02, 0.2, log=True),
            "max_depth": trial.suggest_int("xgboost_max_depth", 3, 9),
            "min_child_weight": trial.suggest_float("xgboost_min_child_weight", 0.5, 60, log=True),
            "subsample": trial.suggest_float("xgboost_subsample", 0.5, 1.0),
            "colsample_bytree": trial.suggest_float("xgboost_colsample_bytree", 0.3, 1.0),
            "lambda": trial.suggest_float("xgboost_lambda", 0.1, 30, log=True),
        }

    def prepare(self, problem: Problem, train: Rows, validation: Rows) -> tuple[Any, Any]:
        first = self._data(problem, train)
        return first, self._data(problem, validation, ref=first)

    def fit(self, problem: Problem, data: tuple[Any, Any], params: dict[str, Any], report: Report) -> Fitted:
        watch = _Watch(report)
        booster = xgboost.train(
            self._settings(problem, params),
            data[0],
            num_boost_round=MOST_ROUNDS,
            evals=[(data[1], "validation")],
            callbacks=[_XGBoostCallback(watch)],
            verbose_eval=False,
        )
        return self._fitted(problem, booster, watch.best_round + 1)

    def refit(self, problem: Problem, rows: Rows, params: dict[str, Any], rounds: int) -> Fitted:
        booster = xgboost.train(self._settings(problem, params), self._data(problem, rows), num_boost_round=rounds)
        return self._fitted(problem, booster, rounds)

    def _settings(self, problem: Problem, params: dict[str, Any]) -> dict[str, Any]:
        objective, metric = ("binary:logistic", "logloss") if problem.binary else ("reg:squarederror", "mae")
        fixed = {"objective": objective, "eval_metric": metric, "tree_method": "hist", "seed": problem.seed, "nthread": THREADS}
        return {**params, **fixed}

    def _data(self, problem: Problem, rows: Rows, ref: Any = None) -> Any:
        types = ["c" if index in problem.categorical else "q" for index in range(rows.matrix.shape[1])]
        return xgboost.QuantileDMatrix(
            rows.matrix, rows.labels, weight=rows.weights, feature_types=types, enable_categorical=True, ref=ref
        )

    def _fitted(self, problem: Problem, booster: Any, rounds: int) -> Fitted:
        types = ["c" if index in problem.categorical else "q" for index in range(booster.num_features())]

        def margin(matrix: np.ndarray) -> np.ndarray:
            data = xgboost.DMatrix(matrix, feature_types=types, enable_categorical=True)
            return booster.predict(data, output_margin=True, iteration_range=(0, rounds))

        return Fitted(rounds, margin, lambda path: booster[:rounds].save_model(str(path)))


class _XGBoostCallback(xgboost.callback.TrainingCallback):
    def __init__(self, watch: "_Watch") -> None:
        self._watch = watch

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
        return self._watch.should_stop(epoch, next(iter(evals_log["validation"].values()))[-1])


class LightGBM:
    """LightGBM with leaf-wise trees."""

    name = "lightgbm"

    def defaults(self) -> dict[str, Any]:
        return {"learning_rate": 0.05, "num_leaves": 31, "min_data_in_leaf": 40, "feature_fraction": 0.6, "lambda_l2": 2.0}

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        return {
            "learning_rate": trial.suggest_float("lightgbm_learning_rate", 0.02, 0.2, log=True),
            "num_leaves": trial.suggest_int("lightgbm_num_leaves", 7, 127, log=True),
            "min_data_in_leaf": trial.suggest_int("lightgbm_min_data_in_leaf", 5, 200, log=True),
            "feature_fraction": trial.suggest_float("lightgbm_feature_fraction", 0.3, 1.0),
            "lambda_l2": trial.suggest_float("lightgbm_lambda_l2", 0.1, 30, log=True),
        }

    def prepare(self, problem: Problem, train: Rows, validation: Rows) -> tuple[Any, Any]:
        first = self._data(problem, train)
        return first, self._data(problem, validation, first)

    def fit(self, problem: Problem, data: tuple[Any, Any], params: dict[str, Any], report: Report) -> Fitted:
        watch = _Watch(report)
        booster = lightgbm.train(
            self._settings(problem, params), data[0], MOST_ROUNDS, valid_sets=[data[1]], callbacks=[_lightgbm_callback(watch)]
        )
        return self._fitted(booster, watch.best_round + 1)

    def refit(self, problem: Problem, rows: Rows, params: dict[str, Any], rounds: int) -> Fitted:
        return self._fitted(lightgbm.train(self._settings(problem, params), self._data(problem, rows), rounds), rounds)

    def _settings(self, problem: Problem, params: dict[str, Any]) -> dict[str, Any]:
        objective, metric = ("binary", "binary_logloss") if problem.binary else ("regression", "l1")
        fixed = {"objective": objective, "metric": metric, "seed": problem.seed, "num_threads": THREADS, "verbosity": -1}
        return {**params, **fixed, "deterministic": True, "force_row_wise": True, "feature_pre_filter": False}

    def _data(self, problem: Problem, rows: Rows, reference: Any = None) -> Any:
        return lightgbm.Dataset(
            rows.matrix,
            rows.labels,
            reference=reference,
            weight=rows.weights,
            categorical_feature=problem.categorical,
            params={"feature_pre_filter": False, "verbosity": -1},
            free_raw_data=False,
        ).construct()

    def _fitted(self, booster: Any, rounds: int) -> Fitted:
        return Fitted(
            rounds,
            lambda matrix: np.asarray(booster.predict(matrix, raw_score=True, num_iteration=rounds)),
            lambda path: booster.save_model(str(path), num_iteration=rounds),
        )


def _lightgbm_callback(watch: "_Watch") -> Callable[[Any], None]:
    def after_round(env: Any) -> None:
        if watch.should_stop(env.iteration, env.evaluation_result_list[0][2]):
            raise lightgbm.callback.EarlyStopException(watch.best_round, env.evaluation_result_list)

    return after_round


class CatBoost:
    """CatBoost with symmetric trees and ordered target statistics for categories."""

    name = "catboost"

    def defaults(self) -> dict[str, Any]:
        return {"learning_rate": 0.08, "depth": 6, "l2_leaf_reg": 3.0, "random_strength": 1.0, "bagging_temperature": 0.5}

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        return {
            "learning_rate": trial.suggest_float("catboost_learning_rate", 0.03, 0.25, log=True),
            "depth": trial.suggest_int("catboost_depth", 3, 8),
            "l2_leaf_reg": trial.suggest_float("catboost_l2_leaf_reg", 0.5, 30, log=True),
            "random_strength": trial.suggest_float("catboost_random_strength", 0.1, 5, log=True),
            "bagging_temperature": trial.suggest_float("catboost_bagging_temperature", 0.0, 1.0),
        }

    def prepare(self, problem: Problem, train: Rows, validation: Rows) -> tuple[Any, Any]:
        return self._data(problem, train), self._data(problem, validation)

    def fit(self, problem: Problem, data: tuple[Any, Any], params: dict[str, Any], report: Report) -> Fitted:
        watch = _Watch(report)
        booster = catboost.CatBoost(self._settings(problem, params, MOST_ROUNDS))
        booster.fit(data[0], eval_set=data[1], callbacks=[_CatBoostCallback(watch)], use_best_model=False)
        return self._fitted(problem, booster, watch.best_round + 1)

    def refit(self, problem: Problem, rows: Rows, params: dict[str, Any], rounds: int) -> Fitted:
        booster = catboost.CatBoost(self._settings(problem, params, rounds))
        booster.fit(self._data(problem, rows))
        return self._fitted(problem, booster, rounds)

    def _settings(self, problem: Problem, params: dict[str, Any], rounds: int) -> dict[str, Any]:
        loss, metric = ("Logloss", "Logloss") if problem.binary else ("RMSE", "MAE")
        fixed = {"loss_function": loss, "eval_metric": metric, "iterations": rounds, "random_seed": problem.seed}
        return {**params, **fixed, "thread_count": THREADS, "allow_writing_files": False, "logging_level": "Silent"}

    def _data(self, problem: Problem, rows: Rows) -> Any:
        frame = catboost_frame(rows.matrix, problem.categorical)
        return catboost.Pool(frame, rows.labels, weight=rows.weights, cat_features=problem.categorical)

    def _fitted(self, problem: Problem, booster: Any, rounds: int) -> Fitted:
        if booster.tree_count_ > rounds:
            booster.shrink(rounds)

        def margin(matrix: np.ndarray) -> np.ndarray:
            return booster.predict(catboost_frame(matrix, problem.categorical), prediction_type="RawFormulaVal")

        metadata = booster.get_metadata()
        for key in ("train_finish_time", "model_guid"):  # else the same model would differ in its bytes every time
            metadata[key] = ""
        return Fitted(rounds, margin, lambda path: booster.save_model(str(path)))


class _CatBoostCallback:
    def __init__(self, watch: "_Watch") -> None:
        self._watch = watch

    def after_iteration(self, info: Any) -> bool:
        """Whether to go on (the opposite of what XGBoost's callback answers)."""
        metrics = info.metrics["validation"]
        return not self._watch.should_stop(info.iteration - 1, metrics.get("MAE", metrics.get("Logloss"))[-1])


class _Watch:
    """Early stopping, the same for the three libraries: remembers the best round, listens to `report`."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._loss = np.inf
        self.best_round = 0

    def should_stop(self, step: int, loss: float) -> bool:
        if loss < self._loss:
            self.best_round, self._loss = step, loss
        return step - self.best_round >= PATIENCE or self._report(step, self._loss)


FAMILIES: dict[str, Family] = {family.name: family for family in (LightGBM(), CatBoost(), XGBoost())}
"""The families by name, in the order in which their defaults are tried."""
