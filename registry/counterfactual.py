"""Counterfactuals: the smallest change of what a client may change that turns a refusal into an approval."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Protocol

import numpy as np
import pandas as pd


class Predictor(Protocol):
    """What is asked of a `registry.scorer.Scorer` here."""

    def predict(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        """Predictions by output for feature rows."""


@dataclass(frozen=True)
class Lever:
    """A field that may be changed.

    Attributes:
        field: its name.
        current: its value now.
        values: the values that may be proposed; `current` among them is passed over.
        unit: the change that counts as 1 when changes of different fields are compared, in units of the field.
    """

    field: str
    current: float
    values: tuple[float, ...]
    unit: float

    def size(self, value: float) -> float:
        """How large a change from `current` to `value` is."""
        return abs(value - self.current) / self.unit


@dataclass(frozen=True)
class Refusal:
    """A refused output.

    Attributes:
        threshold: the probability from which it is approved.
        levers: what may be changed here.
        possible: whether the changes (field → proposed value) lead to something that this decision maker does at all.
    """

    threshold: float
    levers: tuple[Lever, ...]
    possible: Callable[[Mapping[str, float]], bool] = lambda _: True


@dataclass(frozen=True)
class Change:
    """A field, what it is and what it would have to be."""

    field: str
    current: float
    proposed: float


@dataclass(frozen=True)
class Counterfactual:
    """What would have been approved: the changes, how large they are together, and the probability they lead to."""

    changes: tuple[Change, ...]
    size: float
    probability: float


Features = Callable[[Sequence[Mapping[str, float]]], pd.DataFrame]
"""Feature rows after each of several changes (field → value), derived features recomputed."""


def counterfactuals(scorer: Predictor, refusals: Mapping[str, Refusal], features: Features) -> dict[str, Counterfactual | None]:
    """The smallest approved change of each refused output; None where nothing on the grid is approved.

    One field alone is tried first, every pair of fields only for outputs that no single field turns. All candidates of a stage
    are scored, in one call: boosted trees are not monotone, so nothing between two candidates is inferred, and the answer is
    the exact minimum over the grid. Of equally large changes the field named first, then the lower value, is chosen.

    Args:
        scorer: predicts every output in `refusals`.
        refusals: output → threshold and levers.
        features: see `Features`; called at most twice.
    """
    found: dict[str, Counterfactual | None] = dict.fromkeys(refusals)
    for together in (1, 2):
        open_ = {output: refusal for output, refusal in refusals.items() if found[output] is None}
        found |= _stage(scorer, open_, features, together)
    return found


def _stage(
    scorer: Predictor, refusals: Mapping[str, Refusal], features: Features, together: int
) -> dict[str, Counterfactual | None]:
    proposals = {output: list(_proposals(refusal, together)) for output, refusal in refusals.items()}
    distinct = list(dict.fromkeys(_values(changes) for several in proposals.values() for changes in several))
    if not distinct:
        return dict.fromkeys(refusals)
    predictions = scorer.predict(features([dict(values) for values in distinct]))
    place = {values: index for index, values in enumerate(distinct)}
    return {
        output: _smallest(refusal, proposals[output], predictions[output][[place[_values(c)] for c in proposals[output]]])
        for output, refusal in refusals.items()
    }


def _proposals(refusal: Refusal, together: int) -> Iterator[tuple[Change, ...]]:
    for chosen in combinations(refusal.levers, together):
        choices = [sorted({value for value in lever.values if value != lever.current}) for lever in chosen]
        for values in product(*choices):
            if refusal.possible({lever.field: value for lever, value in zip(chosen, values, strict=True)}):
                yield tuple(Change(lever.field, lever.current, value) for lever, value in zip(chosen, values, strict=True))


def _values(changes: tuple[Change, ...]) -> tuple[tuple[str, float], ...]:
    return tuple((change.field, change.proposed) for change in changes)


def _smallest(refusal: Refusal, proposals: list[tuple[Change, ...]], probabilities: np.ndarray) -> Counterfactual | None:
    levers = {lever.field: lever for lever in refusal.levers}
    approved = [
        Counterfactual(changes, sum(levers[change.field].size(change.proposed) for change in changes), float(probability))
        for changes, probability in zip(proposals, probabilities, strict=True)
        if probability >= refusal.threshold
    ]
    return min(approved, key=lambda candidate: candidate.size, default=None)
