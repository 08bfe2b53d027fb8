"""From a frame to a sealed Scorer folder: split, search, refit, calibration, intervals, thresholds, figures on the holdout."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clock import now
from registry.golden import write_golden
from registry.metrics import METRICS, naive_class_score, naive_score
from registry.outputs import Lacking, Map, Output
from registry.promotion import Holdout, evaluate
from registry.scorer import Scorer, write_manifest
from training.calibration import calibrate
from training.candidates import Budget, Leaderboard, Progress
from training.ensemble import Blend, Recipe, Workers, cook, read_recipe, stored_recipe
from training.intervals import conformal_interval, fit_quantiles, quantile_rounds
from training.part_refusals import check_parts
from training.refusals import check_trainable
from training.samples import write_samples
from training.schedule import REFIT
from training.search import search
from training.split import Split, as_requested, split
from training.task import Part, TrainingTask
from training.thresholds import Thresholds

INTERVALS = 0.1
"""Most of the budget's seconds that are spent on finding how many rounds the interval's boosters need."""


@dataclass(frozen=True)
class Trained:
    """The result of a training: the scorer folder, the leaderboard, the holdout and the figures on it."""

    folder: Path
    leaderboard: Leaderboard
    holdout: Holdout
    metrics: dict[str, float]
    rows: dict[str, int]


@dataclass(frozen=True)
class Plan:
    """All that was decided by search; with the same rows, rebuilding from it gives the same model bytes.

    Attributes:
        recipe: blends by output.
        quantiles: boosting rounds of the interval's quantile boosters by output, for regressions.
        workers: fits at once and threads of each: a library may sum in another order with other threads.
        blending: by output in words whether a blend was worth it.
    """

    recipe: Recipe
    quantiles: Mapping[str, tuple[int, int]]
    workers: Workers
    blending: Mapping[str, str]

    def stored(self) -> dict[str, Any]:
        """The plan as JSON."""
        return {
            "recipe": stored_recipe(self.recipe),
            "quantiles": {output: list(rounds) for output, rounds in self.quantiles.items()},
            "workers": [self.workers.slots, self.workers.threads],
            "blending": dict(self.blending),
        }

    @staticmethod
    def read(stored: Mapping[str, Any]) -> "Plan":
        """The plan from its JSON."""
        quantiles = {output: (low, high) for output, (low, high) in stored["quantiles"].items()}
        return Plan(read_recipe(stored["recipe"]), quantiles, Workers(*stored["workers"]), stored["blending"])


def train(
    task: TrainingTask,
    frame: pd.DataFrame,
    folder: Path,
    budget: Budget,
    seed: int,
    progress: Progress,
    thresholds: Thresholds | None = None,
    scratch: Path | None = None,
) -> Trained:
    """Train `task` on `frame` and write the scorer into the empty `folder`.

    What the search chose is refitted on all development rows; calibration, thresholds and intervals come from the calibration
    rows, and every reported figure from the holdout, which nothing else has seen. Rows without what is sometimes absent are
    calibrated for themselves, and thresholds are theirs: it is how requests come.

    Args:
        task: what is to be learned.
        frame: one row per example, with every column that the task names.
        folder: empty; receives the scorer.
        budget: of the search and the refit.
        seed: same frame, task, budget in trials and seed give the same bytes.
        progress: hears how far it is.
        thresholds: chooses decision thresholds by output.
        scratch: where a killed search leaves its trials for the next run of the same training; None = beside `folder`.

    Raises:
        NotTrainable: the frame cannot give an honest model.
    """
    check_trainable(task, frame)
    parts = split(task, frame, seed)
    check_parts(task, parts)
    started = time.monotonic()
    quantiles = _quantile_rounds(task, parts, seed, INTERVALS * budget.seconds)
    left = max(budget.seconds / 2, budget.seconds - (1 + REFIT) * (time.monotonic() - started))
    budget, searches = replace(budget, seconds=left), scratch or folder.parent / "searches"
    found = search(task, parts.development, parts.columns, parts.folds, budget, seed, searches, progress)
    progress(0.96, f"refitting: {'; '.join(sorted(set(found.blending.values())))}")
    plan = Plan(found.recipe, quantiles, found.workers, found.blending)
    build(task, parts, plan, folder, seed, thresholds)
    progress(0.99, "judging on the holdout")
    holdout = _holdout(task, parts)
    counts = {name: len(getattr(parts, name).weights) for name in ("development", "calibration", "holdout")}
    figures = _metrics(task, folder, holdout, parts.holdout.frame)
    return Trained(folder, found.leaderboard, holdout, figures, counts)


def _quantile_rounds(task: TrainingTask, parts: Split, seed: int, seconds: float) -> dict[str, tuple[int, int]]:
    """Rounds of the interval's boosters by output of a regression: found first, so that the search has what they leave it."""
    outputs = task.outputs if task.kind == "regression" else ()
    part, workers = parts.development, Workers.of(parts.development.matrix)
    return {
        output: quantile_rounds(task, part, parts.columns, parts.folds[0], output, seed, workers, seconds / len(outputs))
        for output in outputs
    }


def build(task: TrainingTask, parts: Split, plan: Plan, folder: Path, seed: int, thresholds: Thresholds | None = None) -> None:
    """Fit what the plan says and write the scorer into the empty `folder`: the part of training that needs no search."""
    blends = cook(task, parts.development, parts.columns, plan.recipe, seed, plan.workers)
    outputs = tuple(_output(task, parts, plan, blend, name, folder, seed) for name, blend in blends.items())
    chosen = _thresholds(task, parts.lacking, dict(zip(blends, outputs, strict=True)), blends, thresholds)
    metadata = {
        "use_case": task.name,
        "trained_at": now().isoformat(),
        "seed": seed,
        "families": sorted({part.family for ingredients in plan.recipe.values() for part in ingredients}),
        "plan": plan.stored(),
        "lake_versions": task.lake_versions,
        **({"settings": task.settings} if task.settings else {}),
        "metric": task.metric,
        "table": task.table,
        "sometimes_absent": list(task.sometimes_absent),
        **_data_until(task, parts.holdout),
    }
    write_samples(task, parts, outputs, blends, folder, seed)
    write_golden(folder, parts.columns, outputs)
    write_manifest(folder, parts.columns, outputs, chosen, metadata)


def _data_until(task: TrainingTask, newest: Part) -> dict[str, str]:
    """The moment of the newest row, where rows have one."""
    return {"data_until": str(newest.frame[task.time].max())} if task.time else {}


def _output(task: TrainingTask, parts: Split, plan: Plan, blend: Blend, name: str, folder: Path, seed: int) -> Output:
    members = blend.save(folder, name)
    if task.kind == "regression":
        rounds = plan.quantiles[name]
        quantiles = fit_quantiles(task, parts.development, parts.columns, rounds, name, seed, plan.workers)
        interval = conformal_interval(task, blend, quantiles, parts.calibration, name, folder)
        return Output(name, task.link, members, interval=interval)
    absent = tuple(place for place, column in enumerate(parts.columns) if column.name in task.sometimes_absent)
    lacking = Lacking(absent, _calibrate(parts.lacking, blend, name, seed)) if absent else None
    complete = _calibrate(parts.calibration, blend, name, seed)
    return Output(name, task.link, members, task.classes, complete, lacking=lacking)


def _calibrate(part: Part, blend: Blend, name: str, seed: int) -> Map | None:
    known = part.known(name)
    return calibrate(part.labels[name][known], blend.predict(part.matrix[known]), part.weights[known], seed)


def _predict(output: Output, blend: Blend, matrix: np.ndarray) -> np.ndarray:
    return output.predictions(blend.margin(matrix), matrix)


def _thresholds(
    task: TrainingTask,
    part: Part,
    outputs: Mapping[str, Output],
    blends: Mapping[str, Blend],
    thresholds: Thresholds | None,
) -> dict[str, dict[str, float]]:
    if thresholds is None or task.kind != "binary":
        return {}
    chosen = {}
    for name, output in outputs.items():
        known = part.known(name)
        chosen[name] = thresholds(name, part.labels[name][known], _predict(output, blends[name], part.matrix[known]))
    return chosen


def holdout_of(task: TrainingTask, frame: pd.DataFrame, seed: int) -> Holdout:
    """The holdout that `train` keeps for the same task, frame and seed: a version can be judged later on the same rows.

    Rows lack what is sometimes absent: a model is judged by what it will be asked.
    """
    return _holdout(task, split(task, frame, seed))


def _holdout(task: TrainingTask, parts: Split) -> Holdout:
    part, seen = parts.holdout, parts.development
    metric = METRICS[task.metric]
    baselines = []
    for output in task.outputs:
        known, learned = part.known(output), seen.known(output)
        rows = part.labels[output][known], part.weights[known], seen.labels[output][learned], seen.weights[learned]
        classes = len(task.classes)
        baselines.append(naive_class_score(metric, *rows, classes) if classes else naive_score(metric, *rows))
    labels, weights = pd.DataFrame(part.labels), pd.Series(part.weights)
    return Holdout(
        as_requested(task, part.frame), labels, weights, task.metric, float(np.mean(baselines)), task.group or task.entity
    )


def _metrics(task: TrainingTask, folder: Path, holdout: Holdout, complete: pd.DataFrame) -> dict[str, float]:
    """Holdout figures by name: the task's metric and companions, overall and per output; coverage for intervals.

    `complete` are the holdout's rows with what is sometimes absent: they have the task's metric for themselves.
    """
    scorer = Scorer.load(folder)
    predictions = scorer.predict(holdout.features)
    figures = {f"holdout_{task.metric}": holdout.score(predictions), f"naive_{task.metric}": holdout.baseline}
    if task.sometimes_absent:
        figures[task.complete_figure] = evaluate(scorer, replace(holdout, features=complete))
    companions = ("wmae", "rmse") if task.kind == "regression" else ("roc_auc", "pr_auc", "log_loss")
    for output in task.outputs:
        known = holdout.labels[output].notna().to_numpy()
        labels, weights = holdout.labels[output][known].to_numpy(), holdout.weights[known].to_numpy()
        for name in companions:
            figures[f"{output}_{name}"] = METRICS[name].score(labels, predictions[output][known], weights)
        if task.kind == "regression":
            low, high = scorer.interval(output, holdout.features[known])
            figures[f"{output}_coverage"] = float(np.mean((low <= labels) & (labels <= high)))
    return figures


def describe(trained: Trained) -> dict[str, float]:
    """The figures of a training as one flat mapping: metrics on the holdout and rows of each part."""
    return {**trained.metrics, **{f"{name}_rows": float(count) for name, count in trained.rows.items()}}
