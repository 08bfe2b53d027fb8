"""Our search as a rival meets it: all rows of a training table in, a predictor refitted on all of them out."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from registry.encoding import encode
from training.candidates import Budget
from training.ensemble import cook
from training.search import search
from training.split import develop, in_order
from training.task import TrainingTask

MOST_TRIALS = 10_000


def fit_best(
    task: TrainingTask, frame: pd.DataFrame, seconds: float, seed: int
) -> Callable[[pd.DataFrame], dict[str, np.ndarray]]:
    """Search and refit within `seconds`; the answer predicts each output for new rows.

    What `training.fit.train` does without its calibration and holdout parts: rivals have no such parts to give up either.
    """
    part, columns, folds = develop(task, in_order(task, frame, seed), seed)
    with tempfile.TemporaryDirectory() as scratch:
        found = search(task, part, columns, folds, Budget(MOST_TRIALS, seconds), seed, Path(scratch), lambda _share, _text: None)
    blends = cook(task, part, columns, found.recipe, seed, found.workers)
    return lambda rows: {output: blend.predict(encode(rows, columns)) for output, blend in blends.items()}
