"""What a report is drawn from: the holdout scored once by the new model and by the champion, and the figures on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from features.columns import FeatureColumn
from registry.bootstrap import Undefined
from registry.holdout import Holdout, Predictions
from registry.metrics import METRICS, Metric
from registry.rivalry import Rivalry, rivalry
from registry.scorer import Scorer
from training.fairness import Decision
from training.report.estimates import Estimate, estimated
from training.task import TrainingTask
from training.thresholds import CostMatrix

if TYPE_CHECKING:
    from registry.loading import LoadedModel
    from training.fit import Trained

MOST_ROWS = 100_000
"""A larger holdout is sampled: the figures would not change, the time would."""

_FAVOURABLE = {"approve"}
WRONG_ANSWERS = CostMatrix(hit=0, false_alarm=1, miss=1)
"""Costs where nobody has said what an error costs: every wrong decision costs one."""


@dataclass(frozen=True)
class Judged:
    """One output on the holdout rows whose label is known.

    Attributes:
        output: its name.
        rows: these rows, all columns.
        labels, weights: shape (rows,).
        predictions: shape (rows,), or (rows, classes).
        bounds: 90 % interval of each row, (low, high), of regressions that have one.
        borders: between the segments of the intervals, in label units; empty without any.
        estimate: the task's metric.
        decisions: the stored thresholds.
    """

    output: str
    rows: pd.DataFrame
    labels: np.ndarray
    weights: np.ndarray
    predictions: np.ndarray
    bounds: tuple[np.ndarray, np.ndarray] | None
    borders: tuple[float, ...]
    estimate: Estimate
    decisions: tuple[Decision, ...]

    @property
    def covered(self) -> np.ndarray | None:
        """Whether each label lies in its interval."""
        if self.bounds is None:
            return None
        low, high = self.bounds
        return (low <= self.labels) & (self.labels <= high)

    @property
    def codes(self) -> np.ndarray:
        """The likeliest class of each row of a multiclass output."""
        return np.argmax(self.predictions, axis=1)


@dataclass(frozen=True)
class Evidence:
    """Everything a report says, before it is put in words and pictures.

    Attributes:
        trained, task, scorer: the model and how it came to be.
        columns: every feature with titles and whether it is protected.
        judged: by output.
        sampled: rows of the holdout that were judged (all, or `MOST_ROWS`).
        estimate: the task's metric, averaged over the outputs.
        rivalry: None without a champion that predicts the same.
        costs: of the outcomes of a decision.
    """

    trained: Trained
    task: TrainingTask
    scorer: Scorer
    columns: Mapping[str, FeatureColumn]
    judged: tuple[Judged, ...]
    sampled: int
    estimate: Estimate
    rivalry: Rivalry | None
    costs: CostMatrix

    @property
    def metric(self) -> Metric:
        """The task's metric."""
        return METRICS[self.task.metric]

    @property
    def seed(self) -> int:
        """The seed of the training, which the report's samples are drawn by too."""
        return int(self.scorer.metadata.get("seed", 0))

    def title(self, column: str) -> str:
        """The English title of a column, its name where it has none."""
        return self.columns[column].title_en if column in self.columns else column


def gather(
    trained: Trained,
    task: TrainingTask,
    champion: LoadedModel | None,
    titles: Mapping[str, FeatureColumn],
    costs: CostMatrix = WRONG_ANSWERS,
) -> Evidence:
    """Score the holdout and compute every figure that costs more than a glance; arguments as in `training.report.report`."""
    scorer = Scorer.load(trained.folder)
    holdout = _sampled(trained.holdout, int(scorer.metadata.get("seed", 0)))
    predictions = scorer.predict(holdout.features)
    return Evidence(
        trained,
        task,
        scorer,
        _described(task, titles),
        tuple(_judge(scorer, output, holdout, predictions) for output in task.outputs),
        len(holdout.features),
        estimated(holdout, predictions),
        None if champion is None else _rivalry(champion, holdout, predictions),
        costs,
    )


def _sampled(holdout: Holdout, seed: int) -> Holdout:
    places = _sample(len(holdout.features), seed)
    features, labels = (frame.iloc[places].reset_index(drop=True) for frame in (holdout.features, holdout.labels))
    return replace(holdout, features=features, labels=labels, weights=holdout.weights.iloc[places].reset_index(drop=True))


def _sample(rows: int, seed: int) -> np.ndarray:
    if rows <= MOST_ROWS:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False))


def _described(task: TrainingTask, titles: Mapping[str, FeatureColumn]) -> dict[str, FeatureColumn]:
    plain = {name: FeatureColumn(name, "", name, name, "") for name in (*task.features, *task.protected)}
    known = {name: titles.get(name, column) for name, column in plain.items()}
    return {name: replace(column, protected=column.protected or name in task.protected) for name, column in known.items()}


def _judge(scorer: Scorer, output: str, holdout: Holdout, predictions: Predictions) -> Judged:
    truth = holdout.labels[output].to_numpy(dtype="float64")
    known = ~np.isnan(truth)
    spec = next(spec for spec in scorer.outputs_ if spec.name == output)
    held = holdout.features[known].reset_index(drop=True)
    return Judged(
        output,
        held,
        truth[known],
        holdout.weights[known].to_numpy(dtype="float64"),
        predictions[output][known],
        None if spec.interval is None else scorer.interval(output, held),
        () if spec.interval is None else spec.interval.borders,
        estimated(holdout.only([output]), predictions),
        tuple(Decision(name, value, name in _FAVOURABLE) for name, value in scorer.thresholds.get(output, {}).items()),
    )


def _rivalry(champion: LoadedModel, holdout: Holdout, predictions: Predictions) -> Rivalry | None:
    """The comparison over the outputs that both predict, in the same shape."""
    theirs = champion.scorer.predict(holdout.features)
    shared = [o for o in holdout.labels if o in theirs and theirs[o].shape == predictions[o].shape]
    try:
        return rivalry(champion.version, holdout.only(shared), predictions, theirs) if shared else None
    except Undefined:
        return None
