"""CatBoost with symmetric trees and ordered target statistics for categories."""

from collections.abc import Mapping
from typing import Any

import catboost
import numpy as np
import optuna

from registry.boosters import catboost_frame
from training.families.problem import MOST_ROUNDS, Fitted, Problem, Report, Rows, Space, Watch, suggest, with_losses

_LOSSES = {"log_loss": "Logloss", "softmax": "MultiClass", "squared": "RMSE", "absolute": "MAE"}
_WATCHED = {"mae": "MAE", "rmse": "RMSE"}
_BORDERS = 254
_SPACE: Space = {
    "learning_rate": (0.03, 0.25, "log"),
    "depth": (3, 8),
    "l2_leaf_reg": (0.5, 30.0, "log"),
    "random_strength": (0.1, 5.0, "log"),
    "subsample": (0.5, 1.0),
    "one_hot_max_size": (2, 100, "log"),
    "max_ctr_complexity": (1, 3),
}


class CatBoost:
    """CatBoost with symmetric trees; categories of few values are split on directly, others by ordered target statistics.

    Splitting directly (`one_hot_max_size`, inside the trees) is the first thing tried: on tables whose categories are short it is
    several times faster than target statistics, and better. Combinations of categories (`max_ctr_complexity`) cost three times
    the time, which only some tables repay; they are in the search space.
    """

    name = "catboost"

    def portfolio(self, problem: Problem) -> list[dict[str, Any]]:
        """Configurations that are good without any search, the best first."""
        strong = {
            "learning_rate": 0.06,
            "depth": 5,
            "l2_leaf_reg": 3.0,
            "random_strength": 1.0,
            "subsample": 0.8,
            "one_hot_max_size": 60,
            "max_ctr_complexity": 1,
        }
        statistics = {**strong, "learning_rate": 0.1, "depth": 6, "one_hot_max_size": 2, "max_ctr_complexity": 2}
        return with_losses(problem, strong, statistics)

    def suggest(self, trial: optuna.Trial, problem: Problem) -> dict[str, Any]:
        """A configuration from the search space."""
        return suggest(trial, self.name, _SPACE, problem)

    def prepare(self, problem: Problem, train: Rows, validation: Rows) -> tuple[Any, Any]:
        """Two Pools, the first quantised; the second must not be: CatBoost then scores categories wrongly."""
        first, second = self._data(problem, train), self._data(problem, validation)
        first.quantize(border_count=_BORDERS)
        return first, second

    def fit(self, problem: Problem, data: tuple[Any, Any], params: Mapping[str, Any], report: Report) -> Fitted:
        """Boost with early stopping on validation."""
        watch = Watch(report, params["learning_rate"])
        settings = self._settings(problem, params, MOST_ROUNDS)
        booster = catboost.CatBoost(settings)
        callback = _Callback(watch, settings["eval_metric"])
        booster.fit(data[0], eval_set=data[1], callbacks=[callback], use_best_model=False)
        return self._fitted(problem, booster, watch.best_round + 1)

    def refit(self, problem: Problem, rows: Rows, params: Mapping[str, Any], rounds: int) -> Fitted:
        """Boost a fixed number of rounds on all rows."""
        booster = catboost.CatBoost(self._settings(problem, params, rounds))
        booster.fit(self._data(problem, rows))
        return self._fitted(problem, booster, rounds)

    def _settings(self, problem: Problem, params: Mapping[str, Any], rounds: int) -> dict[str, Any]:
        problem, rest = problem.configured(params)
        loss = f"Quantile:alpha={problem.quantile}" if problem.loss == "quantile" else _LOSSES[problem.loss]
        settings = {
            **rest,
            "loss_function": loss,
            "eval_metric": _WATCHED[problem.watched] if problem.amounts else loss,
            "iterations": rounds,
            "random_seed": problem.seed,
            "thread_count": problem.threads,
            "border_count": _BORDERS,
            "bootstrap_type": "MVS",
            "allow_writing_files": False,
            "logging_level": "Silent",
        }
        if any(problem.monotone):
            settings["monotone_constraints"] = list(problem.monotone)
        return settings

    def _data(self, problem: Problem, rows: Rows) -> Any:
        frame = catboost_frame(rows.matrix, problem.categorical)
        return catboost.Pool(frame, rows.labels, weight=rows.weights, cat_features=problem.categorical)

    def _fitted(self, problem: Problem, booster: Any, rounds: int) -> Fitted:
        if booster.tree_count_ > rounds:
            booster.shrink(rounds)

        def margin(matrix: np.ndarray) -> np.ndarray:
            frame = catboost_frame(matrix, problem.categorical)
            return booster.predict(frame, prediction_type="RawFormulaVal", thread_count=problem.threads)

        metadata = booster.get_metadata()
        for key in ("train_finish_time", "model_guid"):  # else the same model would differ in its bytes every time
            metadata[key] = ""
        return Fitted(rounds, margin, lambda path: booster.save_model(str(path)))


class _Callback:
    def __init__(self, watch: Watch, metric: str) -> None:
        self._watch, self._metric = watch, metric

    def after_iteration(self, info: Any) -> bool:
        """Whether to go on (the opposite of what XGBoost's callback answers)."""
        return not self._watch.should_stop(info.iteration - 1, info.metrics["validation"][self._metric][-1])
