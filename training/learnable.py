"""Which outputs of a task have labels enough: a bank that has hardly decided on anything yet waits for a later training."""

from dataclasses import replace

import numpy as np
import pandas as pd

from training.refusals import FEWEST_ROWS
from training.split import cut, in_order, rolling
from training.task import TrainingTask


def learnable(task: TrainingTask, frame: pd.DataFrame, seed: int, fewest: int = FEWEST_ROWS) -> TrainingTask:
    """The task with those of its several outputs that can be learned and judged; unchanged where that is none of them.

    An output is left out when fewer than `fewest` rows have a label, or when a part that models are fitted, compared, calibrated
    or judged on has not both classes of it: none of its figures would mean anything.

    Args:
        task: with several outputs, binary over rows with a time.
        frame: one row per example.
        seed: of the split.
    """
    if len(task.outputs) == 1:
        return task
    ordered = in_order(task, frame, seed)
    development, calibration, holdout = cut(task, ordered)
    folds = [rows for fold in rolling(len(development), None) for rows in (fold.train, fold.validation)]
    parts = [*folds, calibration, holdout]
    kept = tuple(name for name in task.outputs if _suffices(ordered[name].to_numpy("float64", na_value=np.nan), parts, fewest))
    return replace(task, outputs=kept or task.outputs)


def _suffices(labels: np.ndarray, parts: list[np.ndarray], fewest: int) -> bool:
    return int((~np.isnan(labels)).sum()) >= fewest and all({0.0, 1.0} <= set(labels[rows]) for rows in parts)
