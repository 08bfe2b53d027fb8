"""One configuration on one fold: fitting every output, validation margins, and their score."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from registry.encoding import ModelColumn
from registry.metrics import METRICS
from registry.outputs import inverse_link
from training.ensemble import Workers, problem, rows
from training.families import FAMILIES
from training.pruning import Curve, Pruner
from training.split import Fold
from training.task import Part, TrainingTask

LAGGING = "lagging behind"
LATE = "time was up"


@dataclass(frozen=True)
class FoldResult:
    """What a configuration gave on the validation rows of one fold, by output.

    `margins` covers the validation rows whose label is known; `stopped` says why boosting ended before its time, if it did;
    `curve` is what later trials are compared with.
    """

    rounds: dict[str, int]
    margins: dict[str, np.ndarray]
    score: float
    seconds: float
    stopped: str | None = None
    curve: Curve = field(default_factory=dict)


class Trials:
    """Evaluates configurations on folds; binned data is built once for each family, fold and worker, and reused."""

    def __init__(
        self,
        task: TrainingTask,
        part: Part,
        columns: tuple[ModelColumn, ...],
        folds: tuple[Fold, ...],
        seed: int,
        workers: Workers,
    ) -> None:
        self.task, self.part, self.folds = task, part, folds
        self.problem = replace(problem(task, columns, seed), threads=workers.threads)
        self._own = threading.local()  # no two fits ever share a library's data set
        self._cut = [(part.take(fold.train), part.take(fold.validation)) for fold in folds]

    def evaluate(
        self, family: str, params: Mapping[str, Any], fold: int, left: Callable[[], float], pruner: Pruner | None = None
    ) -> FoldResult:
        """Fit every output on the fold; stops where the pruner says so, or with what there is when its time is up.

        Args:
            left: seconds until the trial has to end. Outputs share them: each may take an equal part of what is left when its
                turn comes, so that the first do not use up the time of the last.
        """
        started = time.monotonic()
        rounds: dict[str, int] = {}
        margins: dict[str, np.ndarray] = {}
        stopped: str | None = None
        curve: Curve = {} if pruner is None else pruner.curve

        def report(output: str, deadline: float) -> Callable[[int, float], bool]:
            def listen(step: int, best_loss: float) -> bool:
                nonlocal stopped
                if pruner is not None and pruner.lags(output, step * params["learning_rate"], best_loss):
                    stopped = LAGGING
                    return True
                late = left() <= 0 or time.monotonic() >= deadline
                stopped = LATE if late else stopped
                return late

            return listen

        for index, output in enumerate(self.task.outputs):
            deadline = time.monotonic() + left() / (len(self.task.outputs) - index)
            data = self._prepared(family, fold, output)
            fitted = FAMILIES[family].fit(self.problem, data, params, report(output, deadline))
            if stopped == LAGGING:
                return FoldResult({}, {}, np.nan, time.monotonic() - started, stopped, curve)
            rounds[output] = fitted.rounds
            margins[output] = np.asarray(fitted.margin(self.validation(fold, output).matrix), dtype=np.float32)
        return FoldResult(rounds, margins, self.score(fold, margins), time.monotonic() - started, stopped, curve)

    def validation(self, fold: int, output: str) -> Part:
        """The validation rows of a fold whose label is known."""
        part = self._cut[fold][1]
        return part.take(np.flatnonzero(part.known(output)))

    def score(self, fold: int, margins: Mapping[str, np.ndarray]) -> float:
        """The task's metric on the fold, averaged over its outputs, in the units of the prediction."""
        metric = METRICS[self.task.metric]
        scores = []
        for output, values in margins.items():
            part = self.validation(fold, output)
            scores.append(metric.score(part.labels[output], inverse_link(self.task.link, values), part.weights))
        return float(np.mean(scores))

    def _prepared(self, family: str, fold: int, output: str) -> Any:
        kept = self._own.__dict__
        key = f"{family} {fold} {output}"
        if key not in kept:
            train, validation = (rows(self.task, part, output) for part in self._cut[fold])
            kept[key] = FAMILIES[family].prepare(self.problem, train, validation)
        return kept[key]
