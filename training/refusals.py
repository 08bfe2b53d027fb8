"""What cannot be trained on, said in one sentence that names the column and the count."""

import numpy as np
import pandas as pd

from features.wording import agreeing, plural
from training.task import NotTrainable, TrainingTask

FEWEST_ROWS = 200
FEWEST_GROUPS = 10
LARGEST = float(np.finfo(np.float32).max)
"""Models read numbers as float32."""


def check_trainable(task: TrainingTask, frame: pd.DataFrame, fewest: int = FEWEST_ROWS) -> None:
    """Refuse a frame that cannot give an honest model.

    Raises:
        NotTrainable: columns missing, given twice or infinite; a label with one value or too few rows; weights below 0; a time
            that is none; too few groups.
    """
    _refuse_duplicates(task, frame)
    _refuse_absent(task, frame)
    for output in task.outputs:
        _check_label(task, frame[output], fewest)
    _refuse_infinite(task, frame)
    if task.weight:
        _check_weights(task, frame[task.weight])
    if task.time:
        _check_time(task, frame[task.time])
    if task.group:
        groups = frame[task.group].nunique(dropna=False)
        if groups < FEWEST_GROUPS:
            raise NotTrainable(
                f"{task.name}: group column {task.group} has {plural(groups, 'value')}, at least {FEWEST_GROUPS} are needed to "
                "keep groups whole on either side of a split: train without it"
            )


def refuse_empty_features(task: TrainingTask, frame: pd.DataFrame) -> None:
    """Refuse features without a single value.

    Raises:
        NotTrainable: names them and their number.
    """
    empty = [name for name in task.features if frame[name].isna().all()]
    if empty:
        columns = plural(len(empty), "column is", "columns are")
        raise NotTrainable(
            f"{task.name}: {columns} missing in all {len(frame):,} rows: {', '.join(empty)}: "
            f"fill or drop {agreeing(len(empty), 'it', 'them')} (DROP={','.join(empty)})"
        )


def _refuse_duplicates(task: TrainingTask, frame: pd.DataFrame) -> None:
    twice = frame.columns[frame.columns.duplicated()].unique()
    if len(twice):
        named = ", ".join(f"{name} ({int((frame.columns == name).sum())} times)" for name in twice)
        raise NotTrainable(f"{task.name}: {plural(len(twice), 'duplicate column')}: {named}: leave one column of each name")


def _refuse_absent(task: TrainingTask, frame: pd.DataFrame) -> None:
    wanted = dict.fromkeys([*task.features, *task.outputs, *task.protected, *filter(None, (task.weight, task.time, task.group))])
    absent = [name for name in wanted if name not in frame.columns]
    if absent:
        raise NotTrainable(f"{task.name}: the table has no column {', '.join(absent)}: add it, or ask for others")
    if not task.features:
        raise NotTrainable(f"{task.name}: no column is left to learn from: all others are dropped or have a role; drop fewer")


def _check_label(task: TrainingTask, column: pd.Series, fewest: int) -> None:
    labels = column.dropna().to_numpy(dtype="float64")
    if len(labels) < fewest:
        raise NotTrainable(
            f"{task.name}: {plural(len(labels), 'row has', 'rows have')} a label {column.name}, at least {fewest} are needed: "
            "bring more rows"
        )
    infinite = int((~np.isfinite(labels)).sum())
    if infinite:
        raise NotTrainable(f"{task.name}: label {column.name} is infinite in {plural(infinite, 'row')}: check the export")
    values, counts = np.unique(labels, return_counts=True)
    if len(values) < 2:
        what = "one class" if task.kind != "regression" else "a single value"
        raise NotTrainable(f"{task.name}: label {column.name} has {what} in all {len(labels):,} rows: bring rows of another")
    if task.kind == "binary" and not np.isin(values, (0, 1)).all():
        raise NotTrainable(f"{task.name}: label {column.name} of a binary task must be 0 or 1, it has {len(values)} values")
    if task.kind == "multiclass" and not np.isin(values, np.arange(len(task.classes))).all():
        raise NotTrainable(f"{task.name}: label {column.name} must be a position among the {len(task.classes)} classes")
    if task.positive and values[0] <= 0:
        below = int(counts[values <= 0].sum())
        raise NotTrainable(
            f"{task.name}: label {column.name} is 0 or below in {plural(below, 'row')}, so it cannot be learned in log space"
        )


def _refuse_infinite(task: TrainingTask, frame: pd.DataFrame) -> None:
    numeric = [name for name in task.features if pd.api.types.is_numeric_dtype(frame[name].dtype)]
    counts = {name: int((np.abs(frame[name].to_numpy(dtype="float64", na_value=np.nan)) > LARGEST).sum()) for name in numeric}
    infinite = {name: count for name, count in counts.items() if count}
    if infinite:
        named = ", ".join(f"{name} ({plural(count, 'row')})" for name, count in infinite.items())
        columns = plural(len(infinite), "column has", "columns have")
        raise NotTrainable(
            f"{task.name}: {columns} values that are infinite or beyond {LARGEST:.1e}: {named}: "
            f"leave these cells empty, or the columns out (DROP={','.join(infinite)})"
        )


def _check_weights(task: TrainingTask, column: pd.Series) -> None:
    if not pd.api.types.is_numeric_dtype(column.dtype):
        raise NotTrainable(f"{task.name}: weight column {column.name} is no number: give one weight of 0 or more per row")
    weights = column.to_numpy(dtype="float64", na_value=np.nan)
    faults = {"negative": weights < 0, "missing": np.isnan(weights), "infinite": np.isposinf(weights)}
    counts = {fault: int(mask.sum()) for fault, mask in faults.items() if mask.any()}
    if counts:
        named = ", ".join(f"{fault} in {plural(count, 'row')}" for fault, count in counts.items())
        raise NotTrainable(f"{task.name}: weight column {column.name} is {named}: every weight must be a number of 0 or more")
    if not weights.any():
        raise NotTrainable(f"{task.name}: weight column {column.name} is 0 in all {len(weights):,} rows: nothing would count")


def _check_time(task: TrainingTask, column: pd.Series) -> None:
    if pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column.dtype):
        unfit, what = column.isna(), "missing"
    else:
        unfit, what = pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601").isna(), "no date or number"
    if unfit.any():
        raise NotTrainable(
            f"{task.name}: time column {column.name} is {what} in {int(unfit.sum()):,} of {len(column):,} rows: write dates like "
            "2025-12-31 or 31.12.2025, or train without it"
        )
