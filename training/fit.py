"""From a frame to a sealed Scorer folder: split, search, refit, thresholds, intervals, figures on the holdout."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from clock import now
from registry.boosters import SUFFIXES
from registry.metrics import METRICS, naive_score
from registry.promotion import Holdout, evaluate
from registry.scorer import REFERENCE, Output, Scorer, inverse_link, write_manifest
from training.families import FAMILIES, Fitted
from training.intervals import conformal_half_width
from training.search import Budget, Leaderboard, Progress, problem, rows, search
from training.split import Split, split
from training.task import TrainingTask, check_trainable

REFERENCE_ROWS = 2000

Thresholds = Callable[[str, np.ndarray, np.ndarray], dict[str, float]]
"""Chooses the decision thresholds of an output from calibration labels and probabilities."""


@dataclass(frozen=True)
class Trained:
    """The result of a training: the scorer folder, the leaderboard, the holdout and the figures on it."""

    folder: Path
    leaderboard: Leaderboard
    holdout: Holdout
    metrics: dict[str, float]
    rows: dict[str, int]


def train(
    task: TrainingTask,
    frame: pd.DataFrame,
    folder: Path,
    budget: Budget,
    seed: int,
    progress: Progress,
    thresholds: Thresholds | None = None,
) -> Trained:
    """Train `task` on `frame` and write the scorer into the empty `folder`.

    The best configuration is refitted on train and validation; its thresholds and intervals come from the calibration
    rows, and every reported figure from the holdout, which nothing else has seen.

    Raises:
        NotTrainable: the frame cannot give an honest model.
    """
    check_trainable(task, frame)
    parts = split(task, frame, seed)
    board = search(task, parts, budget, seed, folder.parent / "trials.log", progress)
    progress(1.0, f"refitting {board.best.family} on train and validation")
    fitted = {output: _refit(task, parts, board, output, seed) for output in task.outputs}
    outputs = tuple(_save(task, parts, folder, board.best.family, output, model) for output, model in fitted.items())
    chosen = _thresholds(task, parts, fitted, thresholds)
    _write_reference(task, parts, fitted, folder, seed)
    holdout = _holdout(task, parts)
    metadata = {
        "use_case": task.name,
        "trained_at": now().isoformat(),
        "seed": seed,
        "family": board.best.family,
        "parameters": board.best.params,
        "lake_versions": task.lake_versions,
        "metric": task.metric,
    }
    write_manifest(folder, parts.columns, outputs, chosen, metadata)
    counts = {name: len(getattr(parts, name).frame) for name in ("train", "validation", "calibration", "holdout")}
    return Trained(folder, board, holdout, _metrics(task, folder, holdout), counts)


def _refit(task: TrainingTask, parts: Split, board: Leaderboard, output: str, seed: int) -> Fitted:
    best = board.best
    everything = rows(task, parts.fitting, output)
    return FAMILIES[best.family].refit(problem(task, parts, seed), everything, best.params, best.rounds[output])


def _save(task: TrainingTask, parts: Split, folder: Path, family: str, output: str, model: Fitted) -> Output:
    file = f"{output}{SUFFIXES[family]}"
    model.save(folder / file)
    half_width = None
    if task.kind == "regression":
        calibration = rows(task, parts.calibration, output)
        half_width = conformal_half_width(calibration.labels, model.margin(calibration.matrix))
    return Output(output, family, file, task.link, half_width)


def _thresholds(
    task: TrainingTask, parts: Split, fitted: dict[str, Fitted], thresholds: Thresholds | None
) -> dict[str, dict[str, float]]:
    if thresholds is None:
        return {}
    chosen = {}
    for output, model in fitted.items():
        calibration = rows(task, parts.calibration, output)
        chosen[output] = thresholds(output, calibration.labels, inverse_link(task.link, model.margin(calibration.matrix)))
    return chosen


def _write_reference(task: TrainingTask, parts: Split, fitted: dict[str, Fitted], folder: Path, seed: int) -> None:
    """A sample of the holdout: the last rows that the model was judged on are what live traffic is compared with."""
    part = parts.holdout
    sample = part.frame[list(task.features)].copy()
    for output, model in fitted.items():
        sample[f"prediction_{output}"] = inverse_link(task.link, model.margin(part.matrix))
    sample.sample(min(REFERENCE_ROWS, len(sample)), random_state=seed).sort_index().to_parquet(folder / REFERENCE, index=False)


def _holdout(task: TrainingTask, parts: Split) -> Holdout:
    part = parts.holdout
    metric = METRICS[task.metric]
    baselines = []
    for output in task.outputs:
        known, seen = part.known(output), parts.fitting
        learned = seen.known(output)
        constant_from = seen.labels[output][learned], seen.weights[learned]
        baselines.append(naive_score(metric, part.labels[output][known], part.weights[known], *constant_from))
    labels = pd.DataFrame(part.labels)
    return Holdout(part.frame, labels, pd.Series(part.weights), task.metric, float(np.mean(baselines)))


def _metrics(task: TrainingTask, folder: Path, holdout: Holdout) -> dict[str, float]:
    """Holdout figures by name: the task's metric and companions, overall and per output; coverage for intervals."""
    scorer = Scorer.load(folder)
    figures = {f"holdout_{task.metric}": evaluate(scorer, holdout), f"naive_{task.metric}": holdout.baseline}
    if task.sometimes_absent:
        lacking = replace(holdout, features=holdout.features.drop(columns=list(task.sometimes_absent)))
        figures[f"holdout_{task.metric}_without_what_is_sometimes_absent"] = evaluate(scorer, lacking)
    predictions = scorer.predict(holdout.features)
    companions = ("roc_auc", "pr_auc", "log_loss") if task.kind == "binary" else ("wmae", "rmse")
    for output in task.outputs:
        known = holdout.labels[output].notna().to_numpy()
        labels, weights = holdout.labels[output][known].to_numpy(), holdout.weights[known].to_numpy()
        for name in companions:
            figures[f"{output}_{name}"] = METRICS[name].score(labels, predictions[output][known], weights)
        if task.kind == "regression":
            low, high = scorer.interval(output, predictions[output][known])
            figures[f"{output}_coverage"] = float(np.mean((low <= labels) & (labels <= high)))
    return figures


def describe(trained: Trained) -> dict[str, float]:
    """The figures of a training as one flat mapping: metrics on the holdout and rows of each part."""
    return {**trained.metrics, **{f"{name}_rows": float(count) for name, count in trained.rows.items()}}
