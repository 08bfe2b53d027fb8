"""Drift of features and predictions: the journal's window against the reference stored with the model version."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from monitoring.columns import KINDS, METHOD_NAMES, ColumnPair, chance_threshold, pair_columns

if TYPE_CHECKING:  # importing Evidently takes seconds; only a report that is really made pays for it
    from evidently.core.report import Snapshot

    from monitoring.report import Check

MISSING = "change of the share of missing values"


class NothingToCompare(Exception):
    """One side has too few rows, or no column with values on both sides."""


@dataclass(frozen=True)
class DriftLimits:
    """When a column, and when a model, counts as drifted.

    Attributes:
        rows: most rows of each side; of more, a sample drawn with `seed`.
        fewest: fewest current rows worth comparing.
        distance: least distance of a drifted column, and least change of its share of missing values.
        share: share of drifted features from which the model counts as drifted.
    """

    rows: int = 2000
    fewest: int = 100
    distance: float = 0.1
    share: float = 0.3
    seed: int = 0


@dataclass(frozen=True)
class ColumnDrift:
    """How far one column moved, by which method, and whether that is too far; shares of missing values in [0, 1]."""

    column: str
    method: str
    score: float
    threshold: float
    drifted: bool
    missing_reference: float
    missing_current: float


@dataclass(frozen=True)
class DriftOutcome:
    """A finished comparison.

    Attributes:
        snapshot: Evidently's report; it holds distributions, no rows.
        features, predictions: furthest drifted first.
        rows_reference, rows_current: how many rows were compared, after sampling.
        sampling: a sentence on that.
    """

    snapshot: "Snapshot"
    features: tuple[ColumnDrift, ...]
    predictions: tuple[ColumnDrift, ...]
    checks: tuple["Check", ...]
    rows_reference: int
    rows_current: int
    sampling: str

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the features that drifted."""
        return tuple(column.column for column in self.features if column.drifted)

    @property
    def share(self) -> float:
        """Share of the features that drifted."""
        return len(self.drifted) / len(self.features)

    @property
    def predictions_drifted(self) -> bool:
        """Whether any prediction drifted."""
        return any(column.drifted for column in self.predictions)


def drift_report(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    features: Sequence[str],
    predictions: Sequence[str],
    limits: DriftLimits,
    total: int | None = None,
) -> DriftOutcome:
    """Compare `current` with `reference` in the named columns only; other columns never reach Evidently.

    Args:
        total: how many rows `current` was sampled from, if that was done before.

    Raises:
        NothingToCompare: fewer current rows than `limits.fewest`, an empty reference, or no feature with values on both sides.
    """
    if reference.empty or len(current) < limits.fewest:
        raise NothingToCompare(
            f"{len(current)} current rows against {len(reference)} of the reference: at least {limits.fewest} scores are "
            "needed; score more, look further back (days), or lower OPORA_DRIFT_FEWEST_ROWS"
        )
    sampling = _sampling(len(reference), total or len(current), limits)
    sides = [frame.sample(min(limits.rows, len(frame)), random_state=limits.seed) for frame in (reference, current)]
    pairs = pair_columns(sides[0], sides[1], [*features, *predictions], limits.seed)
    if not any(pair.comparable for pair in pairs if pair.name in features):
        raise NothingToCompare("no feature has values on both sides: retrain, or check what is journalled")
    return _compare(pairs, set(predictions), sampling, limits)


def _compare(pairs: list[ColumnPair], predictions: set[str], sampling: str, limits: DriftLimits) -> DriftOutcome:
    from monitoring.report import checks, drift_scores, run_report

    comparable = [pair for pair in pairs if pair.comparable]
    thresholds = {pair.name: chance_threshold(pair, limits.distance, limits.seed) for pair in comparable}
    note = _note(sampling, limits)
    snapshot = run_report(comparable, thresholds, predictions, limits.share, limits.distance, note)
    scores = drift_scores(snapshot)
    judged = [_judge(pair, scores.get(pair.name), thresholds.get(pair.name), limits.distance) for pair in pairs]
    judged.sort(key=lambda column: column.score / column.threshold, reverse=True)
    return DriftOutcome(
        snapshot=snapshot,
        features=tuple(column for column in judged if column.column not in predictions),
        predictions=tuple(column for column in judged if column.column in predictions),
        checks=checks(snapshot),
        rows_reference=len(pairs[0].reference),
        rows_current=len(pairs[0].current),
        sampling=sampling,
    )


def _sampling(reference: int, current: int, limits: DriftLimits) -> str:
    parts = [
        f"{min(rows, limits.rows):,} of {rows:,} {side} rows" for rows, side in ((reference, "reference"), (current, "current"))
    ]
    return f"Compared {' with '.join(parts)}, drawn with seed {limits.seed}."


def _note(sampling: str, limits: DriftLimits) -> str:
    methods = "; ".join(f"{kind}: {METHOD_NAMES[method]}" for kind, method in KINDS.items())
    return (
        f"{sampling} Methods: {methods}. A column drifts from a distance of {limits.distance:g}, or of what chance gives at "
        f"these sample sizes if that is more. The model drifts when {limits.share:.0%} of its features do."
    )


def _judge(pair: ColumnPair, score: float | None, threshold: float | None, missing_change: float) -> ColumnDrift:
    before, after = pair.missing
    change = abs(after - before)
    if score is None or threshold is None or (score < threshold and change >= missing_change):
        return ColumnDrift(pair.name, MISSING, change, missing_change, change >= missing_change, before, after)
    return ColumnDrift(pair.name, METHOD_NAMES[pair.method], score, threshold, score >= threshold, before, after)
