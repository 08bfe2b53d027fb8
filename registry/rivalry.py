"""A new version against the champion on the same rows: on average over the outputs that both have, and in each of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from registry.bootstrap import Comparison
from registry.holdout import Holdout, Predictions

MARGIN = 0.02
"""Share of the champion's advantage over the naive baseline that a fresher or simpler version may give up."""
ERROR = 0.1
"""Share of the cases in which a two-sided interval misses; each of several outputs gets its part of it."""


@dataclass(frozen=True)
class Rivalry:
    """Two models on the same rows; differences are positive where the new one is better.

    Attributes:
        version: the champion's.
        metric: the champion's, averaged over the outputs that both have.
        overall: the difference of that average, with its 90 % interval.
        by_output: the difference in each of these outputs; with 90 % confidence all intervals hold together.
        level: of the intervals in `by_output`.
        accepted: how much worse is still acceptable, in the metric's units.
    """

    version: str
    metric: float
    overall: Comparison
    by_output: Mapping[str, Comparison]
    level: float
    accepted: float

    @property
    def harmed(self) -> dict[str, Comparison]:
        """Of several outputs those that are worse by more than is acceptable, beyond chance: an average can hide a ruined one."""
        several = len(self.by_output) > 1
        return {output: change for output, change in self.by_output.items() if several and change.high < -self.accepted}


def rivalry(version: str, shared: Holdout, ours: Predictions, theirs: Predictions, margin: float = MARGIN) -> Rivalry:
    """Compare `ours` with those of champion `version`, by paired bootstraps over the outputs of `shared`.

    Each of k outputs is tested at a k-th of the error (Bonferroni): of a version that is nowhere worse by the margin, any output
    is called harmed in at most 5 % of cases.

    Raises:
        Undefined: the metric has no value on these rows.
    """
    overall, outputs = shared.compare(ours, theirs), [str(output) for output in shared.labels.columns]
    level = 1 - ERROR / len(outputs)
    by_output = {output: shared.only([output]).compare(ours, theirs, level) for output in outputs} if len(outputs) > 1 else {}
    current = shared.score(theirs)
    accepted = margin * max(0.0, shared.gain(current))
    return Rivalry(version, current, overall, by_output or {outputs[0]: overall}, level, accepted)
