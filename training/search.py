"""The search: one Optuna study over three families, pruned on boosting rounds, stopped on time."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from registry.metrics import METRICS
from registry.scorer import category_positions, inverse_link, link
from training.families import FAMILIES, Fitted, Problem, Rows
from training.split import Split
from training.task import Part, TrainingTask

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class Budget:
    """When the search ends: after `trials` trials or `seconds` seconds, whichever comes first (at least one trial)."""

    trials: int
    seconds: float


@dataclass(frozen=True)
class Candidate:
    """A configuration that was tried: family, parameters, boosting rounds by output, metric on validation."""

    family: str
    params: dict[str, Any]
    rounds: dict[str, int]
    score: float


@dataclass(frozen=True)
class Leaderboard:
    """The best candidate, and one row per trial with its number, family, state, metric and seconds, best first."""

    best: Candidate
    rows: list[dict[str, Any]] = field(default_factory=list)


Progress = Callable[[float, str], None]
"""Called after each trial with the share of the budget used (0..1) and a sentence about the best so far."""


def search(task: TrainingTask, parts: Split, budget: Budget, seed: int, journal: Path, progress: Progress) -> Leaderboard:
    """Search for the configuration with the best metric on validation, averaged over the task's outputs.

    The defaults of every family are the first trials. The trials go into the journal file, readable while the search runs.
    """
    journal.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        direction="maximize" if METRICS[task.metric].greater_is_better else "minimize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=6),
        pruner=optuna.pruners.NopPruner(),
    )
    for family in FAMILIES:
        study.enqueue_trial({"family": family, "default": True})
    trials = _Trials(task, parts, seed, budget, Pruner(warmup=3))
    study.optimize(trials, n_trials=budget.trials, timeout=budget.seconds, callbacks=[trials.after(progress)])
    return trials.leaderboard(study)


class Pruner:
    """Stops a trial whose validation loss lags behind the median of the finished trials at the same boosting time.

    Boosting time is rounds x learning rate, so that a slow learner is compared with what others had after as much shrunken
    progress, not after as many rounds. Optuna's own pruners compare in the direction of the study; here the study's metric (say
    PR-AUC) and the loss that boosting reports (log loss) can point in opposite directions, so the comparison is on the loss.
    Source of the rule: the median stopping rule of Golovin et al., Google Vizier (2017).
    """

    EVERY = 0.5
    FROM = 2

    def __init__(self, warmup: int) -> None:
        self._warmup = warmup
        self._curves: list[dict[tuple[str, int], float]] = []

    def lags(self, curve: dict[tuple[str, int], float], output: str, boosting_time: float, best_loss: float) -> bool:
        """Note the best loss at this boosting time in `curve`; whether it is above the median of the finished trials there."""
        point = (output, int(boosting_time / self.EVERY))
        if point[1] < self.FROM or point in curve:
            return False
        curve[point] = best_loss
        others = [other[point] for other in self._curves if point in other]
        return len(others) >= self._warmup and best_loss > float(np.median(others))

    def finished(self, curve: dict[tuple[str, int], float]) -> None:
        """Remember the curve of a trial that ran to its end."""
        self._curves.append(curve)


class _Trials:
    """The objective: fits one candidate on train, scores it on validation."""

    def __init__(self, task: TrainingTask, parts: Split, seed: int, budget: Budget, pruner: Pruner) -> None:
        self._task, self._parts, self._pruner = task, parts, pruner
        self._budget, self._started = budget, time.monotonic()
        self._problem = problem(task, parts, seed)
        self._prepared: dict[tuple[str, str], Any] = {}
        self._candidates: dict[int, Candidate] = {}

    def __call__(self, trial: optuna.Trial) -> float:
        family = trial.suggest_categorical("family", list(FAMILIES))
        params = self._params(trial, family)
        curve: dict[tuple[str, int], float] = {}
        rounds, scores = {}, []
        for output in self._task.outputs:
            fitted = self._fit(family, output, params, trial, curve)
            rounds[output] = fitted.rounds
            scores.append(score(self._task, output, fitted, self._parts.validation))
        self._pruner.finished(curve)
        mean = float(np.mean(scores))
        self._candidates[trial.number] = Candidate(family, params, rounds, mean)
        return mean

    def _params(self, trial: optuna.Trial, family: str) -> dict[str, Any]:
        if trial.number < len(FAMILIES):
            return FAMILIES[family].defaults()
        return FAMILIES[family].suggest(trial)

    def _fit(
        self, name: str, output: str, params: dict[str, Any], trial: optuna.Trial, curve: dict[tuple[str, int], float]
    ) -> Fitted:
        family = FAMILIES[name]
        if (name, output) not in self._prepared:
            train, validation = (rows(self._task, part, output) for part in (self._parts.train, self._parts.validation))
            self._prepared[name, output] = family.prepare(self._problem, train, validation)
        pruned = False

        def report(step: int, best_loss: float) -> bool:
            nonlocal pruned
            pruned = self._pruner.lags(curve, output, step * params["learning_rate"], best_loss)
            return pruned or (self._late() and bool(self._candidates))

        fitted = family.fit(self._problem, self._prepared[name, output], params, report)
        if pruned or (self._late() and self._candidates):
            trial.set_user_attr("stopped", "lagging behind the median" if pruned else "time was up")
            raise optuna.TrialPruned
        return fitted

    def _late(self) -> bool:
        return time.monotonic() - self._started > self._budget.seconds

    def after(self, progress: Progress) -> Callable[[optuna.Study, optuna.trial.FrozenTrial], None]:
        """The callback that reports progress after every trial."""

        def report(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            used = max((trial.number + 1) / self._budget.trials, (time.monotonic() - self._started) / self._budget.seconds)
            best = study.best_trial
            metric = METRICS[self._task.metric].title
            progress(min(used, 1.0), f"trial {trial.number + 1}: best {metric} {best.value:.5g} by {best.params['family']}")

        return report

    def leaderboard(self, study: optuna.Study) -> Leaderboard:
        """All trials, best first."""
        best = self._candidates[study.best_trial.number]
        rows_ = [self._row(trial) for trial in study.trials if trial.state.is_finished()]
        sign = -1 if METRICS[self._task.metric].greater_is_better else 1
        rows_.sort(key=lambda row: (row["validation"] is None, sign * (row["validation"] or 0.0)))
        return Leaderboard(best, rows_)

    def _row(self, trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
        candidate = self._candidates.get(trial.number)
        duration = trial.duration.total_seconds() if trial.duration else 0.0
        return {
            "trial": trial.number,
            "family": trial.params.get("family"),
            "validation": None if candidate is None else round(candidate.score, 6),
            "rounds": "" if candidate is None else ", ".join(str(value) for value in candidate.rounds.values()),
            "seconds": round(duration, 1),
            "state": trial.user_attrs.get("stopped", trial.state.name.lower()),
            "parameters": "default" if trial.number < len(FAMILIES) else str(_readable(trial.params)),
        }


def _readable(params: dict[str, Any]) -> dict[str, Any]:
    return {key.split("_", 1)[1]: round(value, 4) for key, value in params.items() if key not in {"family", "default"}}


def problem(task: TrainingTask, parts: Split, seed: int) -> Problem:
    """The description of the task that the families need."""
    return Problem(task.kind == "binary", category_positions(parts.columns), seed % 2**31)


def rows(task: TrainingTask, part: Part, output: str) -> Rows:
    """The rows of `part` whose label for `output` is known, with regression labels in margin space."""
    known = part.known(output)
    labels = part.labels[output][known]
    return Rows(part.matrix[known], labels if task.kind == "binary" else link(task.link, labels), part.weights[known])


def score(task: TrainingTask, output: str, fitted: Fitted, part: Part) -> float:
    """The task's metric of a fitted ensemble on `part`, in the units of the prediction."""
    known = part.known(output)
    predictions = inverse_link(task.link, fitted.margin(part.matrix[known]))
    return METRICS[task.metric].score(part.labels[output][known], predictions, part.weights[known])
