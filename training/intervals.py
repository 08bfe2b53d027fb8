"""90 % intervals of amounts: conformalised quantile regression, calibrated in each segment for itself."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from registry.boosters import SUFFIXES
from registry.encoding import ModelColumn
from registry.outputs import Interval, Member
from training.ensemble import Blend, Workers, problem, rows
from training.families import FAMILIES, Fitted
from training.split import Fold
from training.task import Part, TrainingTask

COVERAGE = 0.9
_QUANTILES = ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2)
FEWEST_ROWS = 100
"""A segment with fewer calibration rows takes the correction of all rows."""
_FAMILY = "lightgbm"
_PARAMS = {
    "learning_rate": 0.1,
    "num_leaves": 15,
    "min_data_in_leaf": 40,
    "feature_fraction": 0.6,
    "bagging_fraction": 1.0,
    "lambda_l2": 2.0,
    "path_smooth": 0.0,
    "cat_smooth": 10.0,
}


@dataclass(frozen=True)
class Quantiles:
    """Boosters of the lower and the upper quantile, in margin space, with their boosting rounds."""

    low: Fitted
    high: Fitted


def quantile_rounds(
    task: TrainingTask,
    part: Part,
    columns: tuple[ModelColumn, ...],
    fold: Fold,
    output: str,
    seed: int,
    workers: Workers,
    seconds: float,
) -> tuple[int, int]:
    """How many rounds the quantile boosters need: early stopping on the pinball loss of the fold's validation rows.

    Both together stop after `seconds`, with the rounds that were best until then.
    """
    train, validation = (rows(task, part.take(side), output) for side in (fold.train, fold.validation))
    beside = min(workers.slots, 2)

    def fit(quantile: float) -> int:
        deadline = time.monotonic() + seconds * beside / 2
        asked = replace(problem(task, columns, seed), loss="quantile", quantile=quantile, threads=workers.threads)
        data = FAMILIES[_FAMILY].prepare(asked, train, validation)
        return FAMILIES[_FAMILY].fit(asked, data, _PARAMS, lambda _step, _loss: time.monotonic() >= deadline).rounds

    with ThreadPoolExecutor(beside) as pool:
        low, high = pool.map(fit, _QUANTILES)
    return low, high


def fit_quantiles(
    task: TrainingTask,
    part: Part,
    columns: tuple[ModelColumn, ...],
    rounds: tuple[int, int],
    output: str,
    seed: int,
    workers: Workers,
) -> Quantiles:
    """The two quantile boosters, fitted on all rows of `part`."""
    base = replace(problem(task, columns, seed), loss="quantile", threads=workers.threads)

    def fit(quantile: float, count: int) -> Fitted:
        return FAMILIES[_FAMILY].refit(replace(base, quantile=quantile), rows(task, part, output), _PARAMS, count)

    with ThreadPoolExecutor(min(workers.slots, 2)) as pool:
        low, high = pool.map(fit, _QUANTILES, rounds)
    return Quantiles(low, high)


def conformal_interval(
    task: TrainingTask, blend: Blend, quantiles: Quantiles, calibration: Part, output: str, folder: Path
) -> Interval:
    """Calibrate the quantiles on rows that nothing was fitted on, and write their files into `folder`.

    Raises:
        ValueError: fewer calibration rows than the coverage needs.
    """
    asked = rows(task, calibration, output)
    scores = np.maximum(quantiles.low.margin(asked.matrix) - asked.labels, asked.labels - quantiles.high.margin(asked.matrix))
    segments = np.searchsorted(task.segments, blend.predict(asked.matrix), side="right")
    overall = correction(scores)
    corrections = []
    for segment in range(len(task.segments) + 1):
        own = scores[segments == segment]
        corrections.append(correction(own) if len(own) >= FEWEST_ROWS else overall)
    members = []
    for side in ("low", "high"):
        file = f"{output}-{side}{SUFFIXES[_FAMILY]}"
        getattr(quantiles, side).save(folder / file)
        members.append(Member(_FAMILY, file, 1.0))
    return Interval(members[0], members[1], tuple(task.segments), tuple(corrections))


def correction(scores: np.ndarray) -> float:
    """The ceil((n + 1) x coverage)-th smallest conformity score: what widens (or, below 0, narrows) the quantiles.

    Source: Romano, Patterson, Candès, Conformalized Quantile Regression (2019), theorem 1.

    Raises:
        ValueError: fewer scores than the coverage needs.
    """
    rank = int(np.ceil((len(scores) + 1) * COVERAGE))
    if rank > len(scores):
        fewest = round(1 / (1 - COVERAGE))
        raise ValueError(f"{len(scores)} calibration rows cannot give {COVERAGE:.0%} intervals: at least {fewest} are needed")
    return float(np.sort(scores)[rank - 1])
