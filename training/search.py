"""The search: one Optuna study over three families, a cross-validated shortlist, and the recipe that comes of it.

Four steps share the budget: trials on one fold or a few (the strongest known configurations, then what TPE suggests), the other
folds for a shortlist, weights of a blend, and the refit. With a budget in trials every step is a function of rows, settings and
seed alone, whatever order the fits happen to end in; with a budget in seconds the clock decides how far each step comes.
"""

import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from features.wording import plural
from registry.encoding import ModelColumn
from registry.metrics import METRICS
from training.blend import Blending, blend
from training.candidates import Budget, Candidate, Leaderboard, Progress, best_first, best_of_families
from training.ensemble import Ingredient, Recipe, Workers
from training.families import FAMILIES
from training.leaderboard import leaderboard_rows
from training.pruning import Curve, Pruner
from training.schedule import Schedule
from training.split import Fold
from training.task import Part, TrainingTask
from training.trials import LAGGING, FoldResult, Trials
from training.workshop import Workshop, workshop

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)

LAG = 4
"""A configuration is suggested from the results of all trials but the last `LAG`: so many may run at once, on any machine, and
the suggestions stay the same."""
ENOUGH = 1000
"""On fewer validation rows of the rarest class, the best of many trials on one fold is the luckiest."""
SHORTLIST = 6
"""So many candidates are cross-validated; where the clock ended the trials, as many as it allows."""
REFIT_ROUNDS = 1.1
"""More rows bear more rounds: the refit on all rows boosts this many times the rounds that were best on the folds."""


@dataclass(frozen=True)
class Found:
    """The leaderboard, the recipe that came of it, and by output in words whether a blend was worth it."""

    leaderboard: Leaderboard
    recipe: Recipe
    blending: dict[str, str]
    workers: Workers


def search(
    task: TrainingTask,
    part: Part,
    columns: tuple[ModelColumn, ...],
    folds: tuple[Fold, ...],
    budget: Budget,
    seed: int,
    root: Path,
    progress: Progress,
) -> Found:
    """Search for configurations with the best metric on validation, averaged over the task's outputs and the folds.

    The trials go into an Optuna journal under `root`, readable while the search runs; a search that was killed goes on from it.
    """
    workers = Workers.of(part.matrix)
    # Not the seconds: reading the table takes some of them, and never as many twice.
    with workshop(root, task, part, folds, f"{budget.trials} {seed} {workers.threads}") as shop:
        trials = Trials(task, part, columns, folds, seed, workers)
        board = _Search(trials, budget, seed, workers, shop, progress).run()
        progress(0.95, "weighing a blend")
        blendings = {output: blend(trials, board.shortlist, output, seed) for output in task.outputs}
        recipe = {output: _ingredients(board.shortlist, blending, output) for output, blending in blendings.items()}
        return Found(board, recipe, {output: blending.sentence for output, blending in blendings.items()}, workers)


def _ingredients(shortlist: tuple[Candidate, ...], blending: Blending, output: str) -> tuple[Ingredient, ...]:
    """The members that have weight, with rounds for the refit on all rows."""
    pairs = zip(shortlist, blending.weights, strict=True)
    return tuple(
        Ingredient(candidate.family, candidate.params, round(REFIT_ROUNDS * candidate.rounds(output)), weight)
        for candidate, weight in pairs
        if weight > 0
    )


@dataclass(frozen=True)
class _Asked:
    """A trial with the configuration that was suggested for it."""

    trial: optuna.Trial
    family: str
    params: dict[str, Any]


class _Search:
    def __init__(self, trials: Trials, budget: Budget, seed: int, workers: Workers, shop: Workshop, progress: Progress) -> None:
        self._trials, self._budget, self._seed, self._workers = trials, budget, seed, workers
        self._shop, self._progress = shop, progress
        self._metric = METRICS[trials.task.metric]
        self._study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(shop.journal))),
            study_name=trials.task.name,
            direction="maximize" if self._metric.greater_is_better else "minimize",
            load_if_exists=True,
        )
        self._schedule = Schedule(budget, workers.slots, self._study.user_attrs.get("seconds", 0.0))
        self._curves: list[Curve] = []
        self._candidates: list[Candidate] = []
        self._exploring_folds = _exploring_folds(trials)
        self._portfolio = _portfolio(trials)

    def run(self) -> Leaderboard:
        """Explore on the first fold, then cross-validate the shortlist."""
        if not self._study.trials:
            for params in self._portfolio:
                self._study.enqueue_trial(params)
        with ThreadPoolExecutor(self._workers.slots) as pool:
            self._explore(pool)
            shortlist = self._cross_validate(pool)
        candidates, outputs = [*self._candidates, *shortlist], self._trials.task.outputs
        known = len(self._portfolio)
        rows = leaderboard_rows(self._study, candidates, outputs, self._exploring_folds, known, self._metric)
        return Leaderboard(rows, tuple(shortlist))

    def _explore(self, pool: ThreadPoolExecutor) -> None:
        running: dict[int, tuple[_Asked, Future[tuple[FoldResult, ...]]]] = {}
        for number in range(self._budget.trials):
            if number >= LAG:
                self._settle(*running.pop(number - LAG))
            if self._candidates and self._left() <= 0:
                break
            asked = self._ask(number)
            running[number] = (asked, pool.submit(self._attempt, asked, tuple(self._curves)))
        for asked, future in running.values():
            self._settle(asked, future)

    def _ask(self, number: int) -> _Asked:
        """The trial with this number, from an earlier run of this search or new; its sampler knows settled trials only."""
        # A sampler for each trial: what it suggests depends on the trials before, not on how often this process was started.
        self._study.sampler = optuna.samplers.TPESampler(
            seed=self._seed + number, n_startup_trials=LAG, group=True, multivariate=True
        )
        known = self._study.trials
        begun = number < len(known) and known[number].state != TrialState.WAITING
        trial = optuna.Trial(self._study, known[number]._trial_id) if begun else self._study.ask()
        family = trial.suggest_categorical("family", list(FAMILIES))
        return _Asked(trial, family, FAMILIES[family].suggest(trial, self._trials.problem))

    def _attempt(self, asked: _Asked, curves: tuple[Curve, ...]) -> tuple[FoldResult, ...]:
        """The trial on the exploring folds; on the first of them it may be pruned."""
        results = [self._first_fold(asked, curves)]
        while results[-1].stopped is None and len(results) < self._exploring_folds:
            results.append(self._other_fold(asked.trial.number, asked.family, asked.params, len(results), self._left))
        return tuple(results)

    def _first_fold(self, asked: _Asked, curves: tuple[Curve, ...]) -> FoldResult:
        kept = self._shop.kept(asked.trial.number, 0)
        if kept is not None:
            return kept
        started = time.monotonic()
        patience = self._schedule.longest_trial if asked.trial.number >= len(FAMILIES) else np.inf

        def left() -> float:
            return min(self._left(), patience - (time.monotonic() - started))

        result = self._trials.evaluate(asked.family, asked.params, 0, left, Pruner(curves))
        self._shop.keep(asked.trial.number, 0, result)
        return result

    def _left(self) -> float:
        """Seconds until trials are to end."""
        return self._schedule.left_for_trials(found=bool(self._candidates))

    def _settle(self, asked: _Asked, future: Future[tuple[FoldResult, ...]]) -> None:
        """Wait for a trial, tell the study, and count it among the candidates where it came through."""
        results, trial = future.result(), asked.trial
        candidate = Candidate(trial.number, asked.family, asked.params, results, trial.number < len(self._portfolio))
        # Tried on fewer folds than the others it cannot be compared with them; but something is better than nothing.
        compared = len(results) == self._exploring_folds or not self._candidates
        stopped = results[-1].stopped
        if results[0].stopped is None:
            self._curves.append(results[0].curve)
        if compared and stopped != LAGGING:
            self._candidates.append(candidate)
        if not self._study.trials[trial.number].state.is_finished():
            trial.set_user_attr("stopped", stopped)
            trial.set_user_attr("fit_seconds", sum(result.seconds for result in results))
            self._study.set_user_attr("seconds", self._schedule.elapsed)
            if compared and stopped != LAGGING:
                self._study.tell(trial, candidate.score)
            else:
                self._study.tell(trial, state=TrialState.PRUNED)
        others = len(self._trials.folds) - self._exploring_folds
        self._schedule.reserve(best_of_families(self._candidates, self._metric), others)
        self._report(trial.number)

    def _report(self, number: int) -> None:
        used = max((number + 1) / self._budget.trials, self._schedule.elapsed / self._budget.seconds)
        if self._candidates:
            best = best_first(self._candidates, self._metric)[0]
            self._progress(
                min(0.9 * used, 0.9), f"trial {number + 1}: best {self._metric.title} {best.score:.5g} by {best.family}"
            )

    def _cross_validate(self, pool: ThreadPoolExecutor) -> list[Candidate]:
        """A shortlist tried on the other folds, or as many of them as time allows; best first.

        It holds the best of each family, then the best known configuration of each (for the luck of the first kind to be judged
        by), then the next best.
        """
        best = best_of_families(self._candidates, self._metric)
        known = best_of_families((candidate for candidate in self._candidates if candidate.known), self._metric)
        queue = {candidate.number: candidate for candidate in [*best, *known, *best_first(self._candidates, self._metric)]}
        seen = self._exploring_folds
        others = range(seen, seen + self._schedule.affordable_folds(best, len(self._trials.folds) - seen))
        shortlist: list[Candidate] = []
        for candidate in queue.values():
            if len(shortlist) >= SHORTLIST and not self._schedule.explored:
                break
            refitted = best_of_families([*shortlist, candidate], self._metric)
            if shortlist and not self._schedule.affords(candidate, len(others), refitted):
                continue
            if others:
                more = plural(len(others), "more fold")
                self._progress(0.92, f"trial {candidate.number + 1}, {candidate.family}: tried on {more}")
            results = pool.map(lambda fold, one=candidate: self._other_fold(one.number, one.family, one.params, fold), others)
            shortlist.append(replace(candidate, results=(*candidate.results, *results)))
        return best_first(shortlist, self._metric)

    def _other_fold(
        self, number: int, family: str, params: dict[str, Any], fold: int, left: Callable[[], float] | None = None
    ) -> FoldResult:
        kept = self._shop.kept(number, fold)
        if kept is not None:
            return kept
        result = self._trials.evaluate(family, params, fold, left or (lambda: self._schedule.left))
        self._shop.keep(number, fold, result)
        return result


def _exploring_folds(trials: Trials) -> int:
    """How many folds a trial sees: so many that the rarest class, or an amount, has `ENOUGH` validation rows on them."""
    labels = trials.part.labels[trials.task.outputs[0]]
    known = labels[~np.isnan(labels)]
    rarest = len(known) if trials.task.kind == "regression" else np.unique(known, return_counts=True)[1].min()
    folds = len(trials.folds)
    return int(np.clip(np.ceil(ENOUGH * folds / max(1, rarest)), 1, folds))


def _portfolio(trials: Trials) -> list[dict[str, Any]]:
    """The strongest known configuration of each family, then the second ones."""
    by_family = [
        [
            {"family": name, **{f"{name}_{key}": value for key, value in params.items()}}
            for params in family.portfolio(trials.problem)
        ]
        for name, family in FAMILIES.items()
    ]
    return [params for rank in zip(*by_family, strict=True) for params in rank]
