"""The Evidently report of one comparison. Importing this module imports Evidently, which takes seconds."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.core.container import MetricContainer
from evidently.core.report import Context, Snapshot
from evidently.legacy.model.widget import BaseWidgetInfo
from evidently.legacy.renderers.html_widgets import text_widget
from evidently.metrics import MissingValueCount, ValueDrift
from evidently.presets import DataDriftPreset
from evidently.tests import gte, lte

from monitoring.columns import WASSERSTEIN, ColumnPair


@dataclass(frozen=True)
class Check:
    """One of Evidently's tests."""

    name: str
    passed: bool
    description: str


class Note(MetricContainer):  # type: ignore[misc]  # Evidently is untyped
    """A paragraph at the top of the report."""

    text: str

    def generate_metrics(self, context: Context) -> Sequence[Any]:  # noqa: ARG002 - the signature is Evidently's
        """No metrics: only words."""
        return []

    def render(self, context: Context, child_widgets: Any = None) -> list[BaseWidgetInfo]:  # noqa: ARG002 - as above
        """The paragraph as a widget."""
        return [text_widget(text=self.text)]


def run_report(
    pairs: Sequence[ColumnPair],
    thresholds: Mapping[str, float],
    predictions: Set[str],
    share: float,
    missing_change: float,
    note: str,
) -> Snapshot:
    """Drift of every pair by its own method and threshold, and the share of missing values where there are any.

    Args:
        predictions: names of the pairs that are predictions; they do not count for the share of drifted columns.
        share: share of drifted features from which the test of the whole fails.
        missing_change: change of the share of missing values from which a column's test fails.
    """
    features = [pair.name for pair in pairs if pair.name not in predictions]
    preset = DataDriftPreset(
        columns=features,
        drift_share=share,
        per_column_method={pair.name: pair.method for pair in pairs if pair.name in features},
        per_column_threshold={name: thresholds[name] for name in features},
    )
    drifts = [
        ValueDrift(column=pair.name, method=pair.method, threshold=thresholds[pair.name])
        for pair in pairs
        if pair.name in predictions
    ]
    missing = [_missing(pair, missing_change) for pair in pairs if any(pair.missing)]
    report = Report([Note(text=note), *drifts, preset, *missing], include_tests=True)
    return report.run(_dataset(pairs, "current"), _dataset(pairs, "reference"))


def drift_scores(snapshot: Snapshot) -> dict[str, float]:
    """Column → distance, as Evidently computed it."""
    results = [metric for metric in snapshot.dict()["metrics"] if metric["config"]["type"].endswith(":ValueDrift")]
    return {result["config"]["column"]: float(result["value"]) for result in results}


def checks(snapshot: Snapshot) -> tuple[Check, ...]:
    """Every test of the report."""
    tests = snapshot.dict()["tests"]
    return tuple(Check(test["name"], test["status"].value == "SUCCESS", test["description"]) for test in tests)


def _missing(pair: ColumnPair, change: float) -> MissingValueCount:
    expected = pair.missing[0]
    return MissingValueCount(column=pair.name, share_tests=[gte(expected - change), lte(expected + change)])


def _dataset(pairs: Sequence[ColumnPair], side: str) -> Dataset:
    numbers = [pair.name for pair in pairs if pair.method == WASSERSTEIN]
    definition = DataDefinition(
        numerical_columns=numbers, categorical_columns=[pair.name for pair in pairs if pair.name not in numbers]
    )
    return Dataset.from_pandas(pd.DataFrame({pair.name: getattr(pair, side) for pair in pairs}), definition)
