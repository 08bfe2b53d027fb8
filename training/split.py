"""Cutting the rows: development (in folds), calibration and holdout, in order of time where there is time, groups kept whole."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from registry.encoding import ModelColumn, encode, learn_columns
from training.task import NotTrainable, Part, TrainingTask

SHARES = {"development": 0.75, "calibration": 0.10, "holdout": 0.15}
"""Candidates are fitted and compared on development; calibration, thresholds and intervals come from calibration; the holdout is
touched once, for the reported figures and the gate."""
VALIDATION_SHARE = 0.2
FOLDS = 5
ORIGINS = 3
"""Folds of rows that have an order: the last fifth, the fifth before it, the one before that, each after all rows before it."""
CROSS_VALIDATED_ROWS = 50_000
CROSS_VALIDATED_POSITIVES = 5_000
"""A shortlist is cross-validated up to this many rows, or rows of the rarest class: on one fold of a table with few positives,
luck decides. With more of both, one validation part is enough."""


@dataclass(frozen=True)
class Fold:
    """Positions of the rows of a part that a candidate is fitted on and compared on."""

    train: np.ndarray
    validation: np.ndarray


@dataclass(frozen=True)
class Split:
    """The parts of the rows, the columns as learned on development, and the folds of development.

    `lacking` are the calibration rows without what is sometimes absent, as callers without it have them scored; without such
    columns they are the calibration rows themselves.
    """

    columns: tuple[ModelColumn, ...]
    development: Part
    folds: tuple[Fold, ...]
    calibration: Part
    lacking: Part
    holdout: Part


def split(task: TrainingTask, frame: pd.DataFrame, seed: int) -> Split:
    """Order the rows by time (ties and timeless tables: at random by `seed`) and cut them by `SHARES`.

    Rows of one group lie on one side of every cut: groups are ordered by their last moment, then cut whole.

    Raises:
        NotTrainable: too few groups for folds.
    """
    ordered = in_order(task, frame, seed)
    development, calibration, holdout = (ordered.iloc[rows] for rows in cut(task, ordered))
    part, columns, folds = develop(task, development, seed)
    complete = as_part(task, calibration, columns)
    lacking = as_part(task, as_requested(task, calibration), columns) if task.sometimes_absent else complete
    return Split(columns, part, folds, complete, lacking, as_part(task, holdout, columns))


def as_requested(task: TrainingTask, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows as requests bring them: what is sometimes absent is missing."""
    return frame.assign(**dict.fromkeys(task.sometimes_absent, np.nan))


def develop(task: TrainingTask, ordered: pd.DataFrame, seed: int) -> tuple[Part, tuple[ModelColumn, ...], tuple[Fold, ...]]:
    """Rows in order as a part to search on: encoded by columns learned from them, with folds."""
    persons = task.group or task.entity
    columns = learn_columns(ordered, list(task.features), groups=ordered[persons] if persons and persons in ordered else None)
    part = as_part(task, _without_some(task, ordered, seed), columns)
    return part, columns, _folds(task, part, seed)


def in_order(task: TrainingTask, frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The rows by time where the task has time, otherwise at random; rows of one group follow each other."""
    ordered = frame.sample(frac=1.0, random_state=seed)
    if task.time:
        ordered = ordered.sort_values(task.time, kind="stable")
    if task.group:
        rank = pd.Series(np.arange(len(ordered)), index=ordered.index).groupby(ordered[task.group], dropna=False).transform("max")
        ordered = ordered.iloc[np.argsort(rank.to_numpy(), kind="stable")]
    return ordered


def cut(task: TrainingTask, ordered: pd.DataFrame) -> list[np.ndarray]:
    """Positions of the development, calibration and holdout rows, by `SHARES`; groups stay whole."""
    bounds = (np.cumsum(list(SHARES.values()))[:-1] * len(ordered)).round().astype(int)
    if task.group:
        ends = _ends(pd.factorize(ordered[task.group], use_na_sentinel=False)[0])
        bounds = np.array([ends[min(int(np.searchsorted(ends, bound)), len(ends) - 1)] for bound in bounds])
    return np.split(np.arange(len(ordered)), bounds)


def _ends(groups: np.ndarray) -> list[int]:
    """Positions behind the last row of each group, in rows whose groups follow each other."""
    return [int(end) + 1 for end in np.flatnonzero(np.append(groups[1:] != groups[:-1], True))]


def _folds(task: TrainingTask, part: Part, seed: int) -> tuple[Fold, ...]:
    """Rolling-origin folds, newest first, of rows in order of time; otherwise cross-validation, stratified and with groups whole.

    Of a large table the first fold alone.
    """
    labels = part.labels[task.outputs[0]]
    strata = None if task.kind == "regression" else np.nan_to_num(labels, nan=-1.0)
    rarest = len(labels) if strata is None else np.unique(labels[~np.isnan(labels)], return_counts=True)[1].min()
    groups = None if task.group is None else pd.factorize(part.frame[task.group], use_na_sentinel=False)[0]
    if task.time:
        folds = rolling(len(labels), groups)
        if not folds:
            raise NotTrainable(
                f"{task.name}: one group of {task.group} has over half of the {len(labels):,} rows to learn from, so that none "
                "are left to compare models on: train without GROUP, or split the largest group"
            )
    elif groups is not None and (count := len(np.unique(groups))) < FOLDS:
        raise NotTrainable(
            f"{task.name}: the {len(labels):,} rows to learn from lie in {count} groups of {task.group}, at least {FOLDS} are "
            "needed to compare models on others than they learn from: train without GROUP, or split the largest group"
        )
    else:
        pairs = _splitter(strata is not None, groups is not None, seed).split(np.zeros(len(labels)), strata, groups)
        folds = tuple(Fold(np.sort(train), np.sort(validation)) for train, validation in pairs)
    return folds if len(labels) <= CROSS_VALIDATED_ROWS or rarest <= CROSS_VALIDATED_POSITIVES else folds[:1]


def rolling(count: int, groups: np.ndarray | None) -> tuple[Fold, ...]:
    """Each fold is fitted on all rows before its validation rows: what a model meets is always the future."""
    bounds = [round(count * (1 - step * VALIDATION_SHARE)) for step in range(ORIGINS + 1)]
    if groups is not None:
        ends = _ends(groups)
        bounds = [ends[min(int(np.searchsorted(ends, bound)), len(ends) - 1)] for bound in bounds]
    pairs = zip(bounds[1:], bounds[:-1], strict=True)
    return tuple(Fold(np.arange(begin), np.arange(begin, end)) for begin, end in pairs if begin < end)


def _splitter(stratified: bool, grouped: bool, seed: int) -> StratifiedKFold | KFold | GroupKFold | StratifiedGroupKFold:
    kinds = {
        (False, False): KFold,
        (False, True): GroupKFold,
        (True, False): StratifiedKFold,
        (True, True): StratifiedGroupKFold,
    }
    return kinds[stratified, grouped](FOLDS, shuffle=True, random_state=seed)


def _without_some(task: TrainingTask, frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The rows, every second one (at random by `seed`) without the columns that are sometimes absent."""
    absent = np.random.default_rng(seed).random(len(frame)) < 0.5
    return frame.assign(**{name: frame[name].astype("float64").mask(absent) for name in task.sometimes_absent})


def as_part(task: TrainingTask, frame: pd.DataFrame, columns: tuple[ModelColumn, ...]) -> Part:
    """Rows with their encoded matrix, labels and weights."""
    labels = {output: frame[output].to_numpy(dtype="float64", na_value=np.nan) for output in task.outputs}
    weights = frame[task.weight].to_numpy(dtype="float64") if task.weight else np.ones(len(frame))
    return Part(frame.reset_index(drop=True), encode(frame, columns), labels, weights)
