"""The Evidently run of one comparison: figures over time, tests and tables. Importing this module imports Evidently: seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.core.container import MetricContainer
from evidently.core.metric_types import SingleValue, SingleValueCalculation, SingleValueMetric
from evidently.core.report import Context, Snapshot
from evidently.legacy.model.widget import BaseWidgetInfo
from evidently.legacy.renderers.html_widgets import (
    ColumnDefinition,
    ColumnType,
    RichTableDataRow,
    rich_table_data,
    text_widget,
)
from evidently.tests import lt

from monitoring.columns import WASSERSTEIN, ColumnPair
from monitoring.drift import ColumnDrift, DriftOutcome
from monitoring.findings import Finding

DRIFT, SEVERITY = "drift of ", "severity of "
TOP = 5
_BINS = 20
_LONGEST = 40  # characters of a category's name that are shown: pages stay small
_COLORS = ("#4d4d4d", "#ed0400")


@dataclass(frozen=True)
class Check:
    """One of Evidently's tests."""

    name: str
    passed: bool
    description: str


class Figure(SingleValueMetric):  # type: ignore[misc]  # Evidently is untyped
    """One named number of a run, which a panel draws over time."""

    name: str


class FigureCalculation(SingleValueCalculation[Figure]):  # type: ignore[misc]
    """Looks the number up among those that the run was given."""

    def calculate(self, context: Context, current_data: Dataset, reference_data: Dataset | None) -> SingleValue:  # noqa: ARG002
        """The number, without a widget of its own."""
        result = self.result(float(current_data.as_dataframe()[self.display_name()].iloc[0]))
        result.widget = []
        return result

    def display_name(self) -> str:
        """Name of the number, also in the list of tests."""
        return str(self.metric.name)


class Severity(SingleValueMetric):  # type: ignore[misc]
    """Drift times importance of a feature at the top of a run's ranking; a metric of its own, so that a panel draws them all."""

    column: str


class SeverityCalculation(SingleValueCalculation[Severity]):  # type: ignore[misc]
    """Looks it up as any other figure."""

    calculate = FigureCalculation.calculate

    def display_name(self) -> str:
        """Name of the number."""
        return f"{SEVERITY}{self.metric.column}"


class Words(MetricContainer):  # type: ignore[misc]
    """Paragraphs and tables, which hold no figures for panels."""

    widgets: list[BaseWidgetInfo]

    def generate_metrics(self, context: Context) -> Sequence[Any]:  # noqa: ARG002 - the signature is Evidently's
        """No metrics."""
        return []

    def render(self, context: Context, child_widgets: Any = None) -> list[BaseWidgetInfo]:  # noqa: ARG002 - as above
        """What was given."""
        return self.widgets


def run_report(
    outcome: DriftOutcome | None,
    findings: Sequence[Finding],
    figures: Mapping[str, float],
    at: datetime,
    note: str = "",
) -> Snapshot:
    """A run of distances with their tests, a table of columns, findings in words, and whatever other figures the day has.

    Args:
        outcome: None where there was nothing to compare; `note` then says why.
        findings: all of them, those of the outcome among them.
        figures: name → finite number.
        at: moment of the run on the dashboard's axis.
    """
    own = figures_of(outcome, findings) | dict(figures)
    columns = () if outcome is None else (*outcome.predictions, *outcome.features)
    tests = {f"{DRIFT}{column.column}": [lt(column.threshold)] for column in columns}
    metrics = [_metric(name, tests.get(name, [])) for name in own]
    words = Words(widgets=[_summary(outcome, note), _found(findings), *([_table(columns)] if columns else [])])
    frame = pd.DataFrame([own])
    data = Dataset.from_pandas(frame, DataDefinition(unknown_columns=list(own)))  # of a kind that no statistics are made of
    return Report([words, *metrics], include_tests=True).run(data, None, timestamp=at.astimezone(UTC).replace(tzinfo=None))


def figures_of(outcome: DriftOutcome | None, findings: Sequence[Finding]) -> dict[str, float]:
    """The figures of a comparison: distances, shares, and the severity of the features at the top of the ranking."""
    figures = {"findings": float(len(findings))}
    if outcome is None:
        return figures
    columns = (*outcome.predictions, *outcome.features)
    top = [column for column in outcome.features[:TOP] if column.severity > 0]
    return {
        **figures,
        "drift share": outcome.share,
        "drifted importance": outcome.drifted_importance,
        "drifted features": float(len(outcome.drifted)),
        **{f"{DRIFT}{column.column}": column.score for column in columns},
        **{f"{SEVERITY}{column.column}": column.severity for column in top},
    }


def checks(snapshot: Snapshot) -> tuple[Check, ...]:
    """Every test of the report."""
    tests = snapshot.dict()["tests"]
    return tuple(Check(test["name"], test["status"].value == "SUCCESS", test["description"]) for test in tests)


def _metric(name: str, tests: list[Any]) -> Figure | Severity:
    if name.startswith(SEVERITY):
        return Severity(column=name.removeprefix(SEVERITY), tests=[])
    return Figure(name=name, tests=tests)


def _summary(outcome: DriftOutcome | None, note: str) -> BaseWidgetInfo:
    text = note if outcome is None else f"{note} {outcome.sampling} {outcome.method}"
    return text_widget(text=text.strip() or "Nothing was compared.")


def _found(findings: Sequence[Finding]) -> BaseWidgetInfo:
    lines = "\n".join(f"- {finding.sentence}" for finding in findings)
    return text_widget(text=lines or "None.", title="Findings on the data")


def _table(columns: Sequence[ColumnDrift]) -> BaseWidgetInfo:
    # The page cuts off what is too wide for the screen: what a reader looks at first stands on the left.
    definitions = [ColumnDefinition(name, name) for name in ("Column", "Drifted")]
    for title, color in zip(("Reference", "Window"), _COLORS, strict=True):
        options = {"xField": "x", "yField": "y", "color": color}
        definitions.append(ColumnDefinition(title, title, ColumnType.HISTOGRAM, options=options))
    names = ("Score / threshold", "Importance", "Missing", "Method")
    definitions += [ColumnDefinition(name, name) for name in names]
    rows = [RichTableDataRow(_row(column)) for column in columns]
    return rich_table_data(title="Columns", columns=definitions, data=rows, rows_per_page=50)


def _row(column: ColumnDrift) -> dict[str, Any]:
    reference, current = _histograms(column.pair)
    return {
        "Column": column.column,
        "Drifted": "yes" if column.drifted else "no",
        "Importance": f"{column.importance:.1%}",
        "Score / threshold": f"{column.score:.4f}{_error(column.error)} / {column.threshold:.4f}",
        "Method": column.method.partition(" distance")[0],  # the summary above the table has it in full
        "Missing": f"{column.missing_reference:.1%} → {column.missing_current:.1%}",
        "Reference": reference,
        "Window": current,
    }


def _error(error: float) -> str:
    """The error that sampling leaves in a score, where rows were sampled."""
    return f" ± {error:.4f}" if error else ""


def _histograms(pair: ColumnPair) -> list[dict[str, list[Any]]]:
    """Shares of the values, in bins between the 1 % and 99 % quantiles of both sides for numbers: tails belong to persons."""
    if pair.method != WASSERSTEIN:
        labels: list[Any] = [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in pair.categories]
        counts = [pair.counts(side) for side in (pair.reference, pair.current)]
    elif len(pair.reference) + len(pair.current):
        low, high = np.quantile(np.concatenate([pair.reference, pair.current]), [0.01, 0.99])
        edges = np.linspace(low, max(high, low + 1e-9 * max(1.0, abs(low))), _BINS + 1)
        labels = [f"{middle:.4g}" for middle in (edges[:-1] + edges[1:]) / 2]
        counts = [np.histogram(np.clip(side, edges[0], edges[-1]), edges)[0] for side in (pair.reference, pair.current)]
    else:
        labels, counts = [], [np.zeros(0), np.zeros(0)]
    return [{"x": labels, "y": (side / max(1, side.sum())).round(4).tolist()} for side in counts]
