"""Whether a convex blend of the shortlist, in margin space, is better than its best member by more than its noise."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from registry.bootstrap import Comparison, Undefined, paired_bootstrap
from registry.metrics import METRICS, Metric
from registry.outputs import inverse_link
from training.candidates import Candidate
from training.task import TrainingTask
from training.trials import Trials

STEPS = 10
"""Weights are multiples of 1 / STEPS."""
MOST_ROWS = 30_000
"""Of more validation rows, a sample decides."""


@dataclass(frozen=True)
class Blending:
    """What the shortlist is worth together, for one output.

    Attributes:
        weights: convex weights in the order of the shortlist; a single 1 when the blend was not worth it.
        gain: of the blend over the best member, on halves of the validation rows that its weights were not chosen on; None when
            there was nothing to blend.
    """

    weights: tuple[float, ...]
    gain: Comparison | None

    @property
    def sentence(self) -> str:
        """The decision in words."""
        if self.gain is None:
            return "one candidate only"
        used = sum(weight > 0 for weight in self.weights)
        figures = f"gain {self.gain.difference:.2g}, standard error {self.gain.standard_error:.2g}"
        return f"blend of {used}: {figures}" if used > 1 else f"single best: a blend gains no more than its noise ({figures})"


def blend(trials: Trials, shortlist: tuple[Candidate, ...], output: str, seed: int) -> Blending:
    """Choose weights for one candidate of each family.

    Weights on a grid of the simplex are compared by the task's metric. Whether they gain anything is asked of rows that they were
    not chosen on: each half of the validation rows judges the weights that the other half chose, against the member that the
    other half found best, by a paired bootstrap. The blend is taken when it gains more than one standard error.
    """
    rows = _sample(_out_of_fold(trials, shortlist, output), seed)
    chosen = _representatives(trials.task, shortlist, rows, seed)
    alone = np.eye(len(shortlist))[chosen[0]]
    if len(chosen) < 2:
        return Blending(_weights(alone), None)
    task, metric = trials.task, METRICS[trials.task.metric]
    members = replace(rows, margins=rows.margins[chosen])
    half = np.arange(len(rows.labels)) % 2 == 0
    blended, single = np.empty_like(members.margins[0]), np.empty_like(members.margins[0])
    for judges in (half, ~half):
        others = members.take(~judges)
        blended[judges] = np.tensordot(_choose(task, metric, others, _grid(len(chosen))), members.margins[:, judges], 1)
        single[judges] = np.tensordot(_choose(task, metric, others, np.eye(len(chosen))), members.margins[:, judges], 1)
    gain = _gain(task, blended, single, rows, seed)
    if gain is None or gain.difference <= gain.standard_error:
        return Blending(_weights(alone), gain)
    placed = np.zeros(len(shortlist))
    placed[chosen] = _choose(task, metric, members, _grid(len(chosen)))
    return Blending(_weights(placed), gain)


@dataclass(frozen=True)
class _Rows:
    """Out-of-fold margins (candidates, rows, …), labels and weights."""

    margins: np.ndarray
    labels: np.ndarray
    weights: np.ndarray

    def take(self, rows: np.ndarray) -> "_Rows":
        return _Rows(self.margins[:, rows], self.labels[rows], self.weights[rows])


def _representatives(task: TrainingTask, shortlist: tuple[Candidate, ...], rows: _Rows, seed: int) -> list[int]:
    """Position of one candidate of each family, the best family first; the shortlist is sorted, best first.

    The best of its family, unless the best known configuration of that family is worse by no more than the noise: of many
    configurations that were tried on the same rows the first is partly the luckiest.
    """
    chosen: dict[str, int] = {}
    for index, candidate in enumerate(shortlist):
        chosen.setdefault(candidate.family, index)
    for index, candidate in reversed(list(enumerate(shortlist))):
        best = chosen[candidate.family]
        if candidate.known and not shortlist[best].known:
            lead = _gain(task, rows.margins[best], rows.margins[index], rows, seed)
            if lead is None or lead.difference <= lead.standard_error:
                chosen[candidate.family] = index
    return sorted(chosen.values())


def _gain(task: TrainingTask, first: np.ndarray, second: np.ndarray, rows: _Rows, seed: int) -> Comparison | None:
    """How much better the first margins are than the second; None where the rows cannot tell."""
    ours, theirs = inverse_link(task.link, first), inverse_link(task.link, second)
    try:
        return paired_bootstrap(METRICS[task.metric], rows.labels, ours, theirs, rows.weights, seed, replicates=100)
    except Undefined:  # too few of a class to compare anything
        return None


def _sample(rows: _Rows, seed: int) -> _Rows:
    return rows.take(np.random.default_rng(seed).permutation(len(rows.labels))[:MOST_ROWS])


def _weights(placed: np.ndarray) -> tuple[float, ...]:
    return tuple(float(weight) for weight in placed)


def _out_of_fold(trials: Trials, shortlist: tuple[Candidate, ...], output: str) -> _Rows:
    """The validation rows of all folds that every candidate of the shortlist was tried on."""
    folds = range(min(len(candidate.results) for candidate in shortlist))
    parts = [trials.validation(fold, output) for fold in folds]
    margins = [np.concatenate([candidate.results[fold].margins[output] for fold in folds]) for candidate in shortlist]
    labels = np.concatenate([part.labels[output] for part in parts])
    return _Rows(np.stack(margins).astype(np.float64), labels, np.concatenate([part.weights for part in parts]))


def _grid(members: int) -> np.ndarray:
    """Every convex combination of `members` in steps of 1 / STEPS."""
    return np.array(list(_combinations(members)))


def _combinations(members: int) -> Iterator[tuple[float, ...]]:
    for steps in product(range(STEPS + 1), repeat=members - 1):
        if sum(steps) <= STEPS:
            yield tuple(step / STEPS for step in (*steps, STEPS - sum(steps)))


def _choose(task: TrainingTask, metric: Metric, rows: _Rows, grid: np.ndarray) -> np.ndarray:
    """The combination of the grid with the best metric."""
    scores = [
        metric.score(rows.labels, inverse_link(task.link, np.tensordot(row, rows.margins, 1)), rows.weights) for row in grid
    ]
    return grid[int(np.argmax(scores) if metric.greater_is_better else np.argmin(scores))]
