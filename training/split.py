"""Cutting the rows into train, validation, calibration and holdout, in order of time where there is time."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from registry.encoding import ModelColumn, encode, learn_columns
from training.task import Part, TrainingTask

SHARES = {"train": 0.60, "validation": 0.15, "calibration": 0.10, "holdout": 0.15}
"""Trials are fitted on train and compared on validation; thresholds and intervals come from calibration; the holdout is touched
once, for the reported figures and the gate."""


@dataclass(frozen=True)
class Split:
    """The four parts of the rows and the columns as learned on train."""

    columns: tuple[ModelColumn, ...]
    train: Part
    validation: Part
    calibration: Part
    holdout: Part

    @property
    def fitting(self) -> Part:
        """Train and validation together: what the selected configuration is refitted on."""
        return Part(
            pd.concat([self.train.frame, self.validation.frame]),
            np.concatenate([self.train.matrix, self.validation.matrix]),
            {name: np.concatenate([self.train.labels[name], self.validation.labels[name]]) for name in self.train.labels},
            np.concatenate([self.train.weights, self.validation.weights]),
        )


def split(task: TrainingTask, frame: pd.DataFrame, seed: int) -> Split:
    """Order the rows by time (ties and timeless tables: at random by `seed`) and cut them by `SHARES`."""
    shuffled = frame.sample(frac=1.0, random_state=seed)
    ordered = shuffled.sort_values(task.time, kind="stable") if task.time else shuffled
    bounds = (np.cumsum(list(SHARES.values())) * len(ordered)).round().astype(int)
    frames = dict(zip(SHARES, np.split(np.arange(len(ordered)), bounds[:-1]), strict=True))
    columns = learn_columns(ordered.iloc[frames["train"]], list(task.features))
    cut = {name: ordered.iloc[rows] for name, rows in frames.items()}
    for name in ("train", "validation"):
        cut[name] = _without_some(task, cut[name], seed)
    return Split(columns, **{name: _part(task, rows, columns) for name, rows in cut.items()})


def _without_some(task: TrainingTask, frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The rows, every second one (at random by `seed`) without the columns that are sometimes absent."""
    absent = np.random.default_rng(seed).random(len(frame)) < 0.5
    return frame.assign(**{name: frame[name].astype("float64").mask(absent) for name in task.sometimes_absent})


def _part(task: TrainingTask, frame: pd.DataFrame, columns: tuple[ModelColumn, ...]) -> Part:
    labels = {output: frame[output].to_numpy(dtype="float64", na_value=np.nan) for output in task.outputs}
    weights = frame[task.weight].to_numpy(dtype="float64") if task.weight else np.ones(len(frame))
    return Part(frame.reset_index(drop=True), encode(frame, columns), labels, weights)
