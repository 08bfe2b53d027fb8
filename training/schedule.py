"""How a search spends its seconds: when trials end, on how many folds the shortlist is tried, what the refit will take."""

import time
from collections.abc import Sequence

import numpy as np

from training.candidates import Budget, Candidate

EXPLORING = 0.4
"""Least share of the budget's seconds for trials; cross-validation makes do with fewer folds where fits are slow."""
LATEST = 0.7
"""Share of the budget's seconds after which trials end even if none came through."""
LONGEST_TRIAL = 0.15
"""Share of the budget's seconds after which a trial that is not the first of its family ends with what it has."""
SAFETY = 1.15
"""Estimates of the time that is still needed are multiplied by this."""
REFIT = 1.25
"""A fit on all rows takes so many times one on four fifths of them."""


class Schedule:
    """The clock of one search.

    Args:
        budget: of the search and the refit.
        slots: fits that run beside each other.
        used: seconds that an earlier run of the same search took.
    """

    def __init__(self, budget: Budget, slots: int, used: float) -> None:
        self._seconds, self._slots = budget.seconds, slots
        self._started = time.monotonic() - used
        self._stop_exploring = EXPLORING * budget.seconds
        self.explored = False
        """Whether the clock ended the trials."""

    @property
    def elapsed(self) -> float:
        """Seconds that the search has taken, earlier runs included."""
        return time.monotonic() - self._started

    @property
    def left(self) -> float:
        """Seconds until the budget is used up; less than none when it is."""
        return self._seconds - self.elapsed

    @property
    def longest_trial(self) -> float:
        """Seconds after which a trial ends with what it has."""
        return LONGEST_TRIAL * self._seconds

    def left_for_trials(self, found: bool) -> float:
        """Seconds until trials are to end; `found`: one has come through."""
        end = min(LATEST * self._seconds, self._stop_exploring if found else np.inf)
        # Once it is late it stays late: a fit that was cut short must not make the rest look cheap.
        self.explored = self.explored or self.elapsed >= end
        return 0.0 if self.explored else end - self.elapsed

    def reserve(self, best: Sequence[Candidate], others: int) -> None:
        """Leave time for trying the `best` of each family on so many `others` of the folds, and for the refit."""
        needed = self._refit(best) + self._crossing(best) * others
        self._stop_exploring = max(EXPLORING, 1 - SAFETY * needed / self._seconds) * self._seconds

    def affordable_folds(self, best: Sequence[Candidate], most: int) -> int:
        """On how many folds, at `most`, the `best` of each family can be tried in the time that the refit leaves."""
        left = self._seconds - self.elapsed - SAFETY * self._refit(best)
        return max(0, min(most, int(left / max(SAFETY * self._crossing(best), 1e-9))))

    def affords(self, candidate: Candidate, folds: int, refitted: Sequence[Candidate]) -> bool:
        """Whether there is time to try `candidate` on so many `folds` and to refit the best of each family, `refitted`."""
        needed = self._crossing([candidate]) * folds + self._refit(refitted)
        return self.elapsed + SAFETY * needed <= self._seconds

    def _crossing(self, candidates: Sequence[Candidate]) -> float:
        """Seconds for one more fold of each candidate."""
        return sum(candidate.seconds for candidate in candidates) / self._slots

    def _refit(self, best: Sequence[Candidate]) -> float:
        return self._crossing(best) * REFIT
