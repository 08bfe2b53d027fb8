"""What a search is given and what it finds."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from registry.metrics import Metric
from training.trials import FoldResult


@dataclass(frozen=True)
class Budget:
    """When a search ends: after `trials` trials or `seconds` seconds, refit included, whichever is first (at least one trial)."""

    trials: int
    seconds: float


@dataclass(frozen=True)
class Candidate:
    """A configuration that was tried: its number, family, parameters, and its result on each fold so far.

    `known`: one of the strongest known configurations, not one that was found on these rows.
    """

    number: int
    family: str
    params: dict[str, Any]
    results: tuple[FoldResult, ...]
    known: bool = False

    @property
    def score(self) -> float:
        """The metric, averaged over the folds it was tried on."""
        return float(np.mean([result.score for result in self.results]))

    @property
    def seconds(self) -> float:
        """Time of a fit on one fold."""
        return float(np.mean([result.seconds for result in self.results]))

    def rounds(self, output: str) -> int:
        """Boosting rounds, averaged over the folds."""
        return max(1, round(float(np.mean([result.rounds[output] for result in self.results]))))


def best_first(candidates: Iterable[Candidate], metric: Metric) -> list[Candidate]:
    """The candidates by their score; of equal ones the first that was tried."""
    sign = -1 if metric.greater_is_better else 1
    return sorted(candidates, key=lambda candidate: (sign * candidate.score, candidate.number))


def best_of_families(candidates: Iterable[Candidate], metric: Metric) -> list[Candidate]:
    """The best candidate of each family, best first."""
    best: dict[str, Candidate] = {}
    for candidate in best_first(candidates, metric):
        best.setdefault(candidate.family, candidate)
    return list(best.values())


@dataclass(frozen=True)
class Leaderboard:
    """One row per trial with its number, family, state, metric and seconds, best first; and the shortlist that came of it."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    shortlist: tuple[Candidate, ...] = ()


Progress = Callable[[float, str], None]
"""Called after each trial with the share of the budget used (0..1) and a sentence about the best so far."""
