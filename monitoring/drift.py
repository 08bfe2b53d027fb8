"""Drift of features and predictions: the journal's window against the reference stored with the model version."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import log, sqrt

import numpy as np
import pandas as pd

from monitoring.chance import FALSE_ALARMS, chance_threshold, distance_level, missing_threshold, quality_level
from monitoring.columns import KINDS, METHOD_NAMES, WASSERSTEIN, ColumnPair, pair_columns
from monitoring.dependence import Dependence
from monitoring.distances import distance, sampling_error
from monitoring.findings import BROKEN, Finding, column_findings, schema_findings
from registry.scorer import CLUSTER

MISSING = "change of the share of missing values"
GROWING = ", of values that became smaller, since they grow as time passes"


class NothingToCompare(Exception):
    """One side has too few rows, or no column with values on both sides."""


@dataclass(frozen=True)
class DriftLimits:
    """When a column, and when a model, counts as drifted.

    Attributes:
        rows: most rows of each side; of more, a sample drawn with `seed`.
        fewest: fewest current rows worth comparing.
        distance: least distance of a drifted column, and least change of its share of missing values.
        share: share of drifted features, by number or by importance, from which the model counts as drifted.
    """

    rows: int = 10_000
    fewest: int = 100
    distance: float = 0.1
    share: float = 0.3
    seed: int = 0


@dataclass(frozen=True)
class Model:
    """What a report needs to know of the model whose columns it compares.

    Attributes:
        features, predictions: names of the columns.
        importance: feature → its share, together 1; empty = all alike.
        optional: features that some callers never give; that they are missing is no drift.
        growing: features whose values grow as time passes; only that they become smaller is drift.
    """

    features: Sequence[str]
    predictions: Sequence[str]
    importance: Mapping[str, float] = field(default_factory=dict)
    optional: Collection[str] = ()
    growing: Collection[str] = ()


@dataclass(frozen=True)
class ColumnDrift:
    """How far one column moved, by which method, and whether that is too far; shares of missing values in [0, 1].

    Attributes:
        error: standard error of the score because the window was sampled.
        importance: share of the model's contributions; 0 for predictions.
        pair: both sides of the column.
    """

    column: str
    method: str
    score: float
    threshold: float
    drifted: bool
    missing_reference: float
    missing_current: float
    error: float
    importance: float
    pair: ColumnPair = field(repr=False, compare=False)

    @property
    def severity(self) -> float:
        """What columns are ranked by: how many times the threshold it moved, times its importance."""
        return self.score / self.threshold * self.importance


@dataclass(frozen=True)
class DriftOutcome:
    """A finished comparison.

    Attributes:
        features: by drift times importance, predictions by drift; furthest first.
        findings: what is wrong with the rows apart from drift.
        rows_reference, rows_current: how many rows were compared, after sampling.
        sampling: a sentence on that and on the error it brings.
        limits: by which it was judged.
    """

    features: tuple[ColumnDrift, ...]
    predictions: tuple[ColumnDrift, ...]
    findings: tuple[Finding, ...]
    rows_reference: int
    rows_current: int
    sampling: str
    limits: DriftLimits

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the features that drifted."""
        return tuple(column.column for column in self.features if column.drifted)

    @property
    def share(self) -> float:
        """Share of the features that drifted."""
        return len(self.drifted) / len(self.features)

    @property
    def drifted_importance(self) -> float:
        """Share of the model's contributions that comes from drifted features."""
        return sum(column.importance for column in self.features if column.drifted)

    @property
    def predictions_drifted(self) -> bool:
        """Whether any prediction drifted."""
        return any(column.drifted for column in self.predictions)

    @property
    def broken(self) -> tuple[str, ...]:
        """Features whose source seems to be broken."""
        return tuple(dict.fromkeys(found.column for found in self.findings if found.kind in BROKEN and found.column))

    @property
    def alarm(self) -> bool:
        """Whether the model counts as drifted: by its predictions, or by its features in number or importance."""
        return self.predictions_drifted or max(self.share, self.drifted_importance) >= self.limits.share

    @property
    def method(self) -> str:
        """How it was compared, in sentences."""
        kinds = "; ".join(f"{kind}: {METHOD_NAMES[method]}" for kind, method in KINDS.items())
        return (
            f"Methods: {kinds}. A column drifts from a distance of {self.limits.distance:g}, or of what chance gives at these "
            f"sample sizes if that is more, so that {FALSE_ALARMS:.0%} of the reports on unchanged columns flag any of them. "
            f"The model drifts when {self.limits.share:.0%} of its features do, by number or by importance, or a prediction."
        )


def drift_report(
    reference: pd.DataFrame, current: pd.DataFrame, model: Model, limits: DriftLimits, total: int | None = None
) -> DriftOutcome:
    """Compare `current` with `reference` in the model's columns.

    Where a side has a column `registry.scorer.CLUSTER`, it says whose each row is: rows of one client are not independent.

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
    total = total or len(current)
    drawn = [frame.sample(min(limits.rows, len(frame)), random_state=limits.seed) for frame in (reference, current)]
    sides = [frame.drop(columns=CLUSTER, errors="ignore") for frame in drawn]
    names = [*model.features, *model.predictions]
    pairs = [_without_growth(pair) if pair.name in model.growing else pair for pair in pair_columns(sides[0], sides[1], names)]
    if not any(pair.comparable for pair in pairs if pair.name in model.features):
        raise NothingToCompare("no feature has values on both sides: retrain, or check what is journalled")
    judged = [_judge(pair, Dependence(*drawn), model, limits, total) for pair in pairs]
    found = [
        *schema_findings(sides[0], sides[1], names),
        *(one for pair in pairs for one in column_findings(pair, drawn[1], quality_level(len(names)))),
    ]
    absent = {finding.column for finding in found if finding.kind == "absent"} | set(model.optional)
    return DriftOutcome(
        features=_ranked([column for column in judged if column.column not in model.predictions]),
        predictions=_ranked([column for column in judged if column.column in model.predictions]),
        findings=tuple(one for one in found if not (one.kind == "empty" and one.column in absent)),
        rows_reference=len(sides[0]),
        rows_current=len(sides[1]),
        sampling=_sampling((len(sides[0]), len(reference)), (len(sides[1]), total), limits.seed),
        limits=limits,
    )


def _judge(pair: ColumnPair, dependence: Dependence, model: Model, limits: DriftLimits, total: int) -> ColumnDrift:
    before, after = pair.missing
    columns = len(model.features) + len(model.predictions)
    even = 0.0 if pair.name in model.predictions else 1 / len(model.features)
    importance = model.importance.get(pair.name, even)
    change = 0.0 if pair.name in model.optional else abs(after - before)
    alike = dependence.missing_spread(pair.name) if change >= limits.distance else 1.0
    most = missing_threshold(pair, limits.distance, quality_level(columns), alike)
    if pair.comparable:
        score = distance(pair)
        alike = dependence.spread(pair) if score >= limits.distance else 1.0
        threshold = chance_threshold(pair, score, limits.distance, distance_level(columns), limits.seed, alike)
        if score >= threshold or change < most:
            method = METHOD_NAMES[pair.method] + (GROWING if pair.name in model.growing else "")
            error = sampling_error(pair, total, limits.seed)
            return ColumnDrift(pair.name, method, score, threshold, score >= threshold, before, after, error, importance, pair)
    error = sqrt(after * (1 - after) / pair.rows[1] * (1 - pair.rows[1] / total))
    return ColumnDrift(pair.name, MISSING, change, most, change >= most, before, after, error, importance, pair)


def _without_growth(pair: ColumnPair) -> ColumnPair:
    """The column with the values of the window that lie beyond those of the reference at the same rank brought back to them.

    What passes of time makes a client of long standing older and brings new ones: neither raises a quantile by more than the
    time that has passed, nor lowers one. So only what is lower than it was is left to be judged.
    """
    if pair.method != WASSERSTEIN or not pair.comparable:
        return pair
    ranks = (np.arange(len(pair.current)) + 0.5) / len(pair.current)
    return replace(pair, current=np.minimum(pair.current, np.quantile(pair.reference, ranks)))


def _ranked(columns: list[ColumnDrift]) -> tuple[ColumnDrift, ...]:
    return tuple(sorted(columns, key=lambda column: (column.severity, column.score / column.threshold), reverse=True))


def _sampling(reference: tuple[int, int], current: tuple[int, int], seed: int) -> str:
    sides = f"Compared {reference[0]:,} of {reference[1]:,} reference rows with {current[0]:,} of {current[1]:,} current rows"
    if current[0] == current[1]:
        return f"{sides}, seed {seed}."
    # Dvoretzky, Kiefer, Wolfowitz (1956), with the constant of Massart (1990).
    points = 100 * sqrt(log(2 / 0.05) / (2 * current[0]))
    return f"{sides}, drawn with seed {seed}: any share of the window is known to {points:.1f} points (95 %)."
