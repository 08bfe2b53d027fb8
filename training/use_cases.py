"""The four use cases as training tasks over the lake."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import ibis
import numpy as np
import pandas as pd
from ibis.expr.types import Table

from features.columns.payments import DESTINATION_COLUMNS
from features.lake import Lake
from features.sets import FEATURE_SETS
from features.tables import BANKS, TABLES
from settings import learned_with, learning_settings, recordable
from training.task import Kind, NotTrainable, TrainingTask
from training.thresholds import CostMatrix, Thresholds, approval_threshold, risk_thresholds


def _equal_costs() -> CostMatrix:
    return CostMatrix(hit=0, false_alarm=1, miss=1)


def _risk_costs() -> CostMatrix:
    config = learning_settings()
    return CostMatrix(hit=config.question_cost, false_alarm=config.question_cost, miss=config.missed_fraud_cost)


@dataclass(frozen=True)
class UseCase:
    """What is particular to a use case: labels, kind, the metric it is selected by, thresholds it needs.

    `entity`: the column that says whose a row is: rows of one are not independent. `segmented`: its intervals are calibrated in
    each income segment for itself. `protected`: columns by which fairness is reported. `costs`: of the outcomes of a decision, as
    the settings have them.
    """

    outputs: tuple[str, ...]
    kind: Kind
    metric: str
    label_columns: tuple[str, ...]
    entity: str = "client_code"
    weight: str | None = None
    positive: bool = False
    sometimes_absent: tuple[str, ...] = ()
    segmented: bool = False
    protected: tuple[str, ...] = ()
    thresholds: Thresholds | None = None
    costs: Callable[[], CostMatrix] = _equal_costs


def _risk(_output: str, labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    return risk_thresholds(labels, probabilities, _risk_costs(), learning_settings().review_capacity)


def _approval(_output: str, labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    return approval_threshold(labels, probabilities)


_FORM_PROTECTED = ("gender", "age_years", "family_status", "childcount")

USE_CASES: Mapping[str, UseCase] = {
    "income": UseCase(
        ("income",), "regression", "wmae", ("income",), weight="w", positive=True, segmented=True, protected=("age",)
    ),
    "prescoring": UseCase(
        BANKS, "binary", "roc_auc", BANKS, entity="application_id", protected=_FORM_PROTECTED, thresholds=_approval
    ),
    "recommendation": UseCase(("accepted",), "binary", "roc_auc", ("accepted",), protected=("age",)),
    "fraud": UseCase(
        ("fraud",),
        "binary",
        "pr_auc",
        ("is_fraud",),
        sometimes_absent=tuple(c.name for c in DESTINATION_COLUMNS),
        thresholds=_risk,
        costs=_risk_costs,
    ),
}
"""The use cases by name, which is also the name of the registered model."""


def training_task(name: str, versions: dict[str, int]) -> TrainingTask:
    """The task of a use case over the given lake versions."""
    case = USE_CASES[name]
    features = tuple(column.name for column in FEATURE_SETS[name].columns)
    return TrainingTask(
        name=name,
        outputs=case.outputs,
        kind=case.kind,
        metric=case.metric,
        features=features,
        weight=case.weight,
        time="as_of",
        positive=case.positive,
        sometimes_absent=case.sometimes_absent,
        entity=case.entity,
        protected=case.protected,
        segments=learning_settings().segment_borders if case.segmented else (),
        lake_versions=versions,
        settings=recordable(),
    )


def recorded(name: str, outputs: Sequence[str], lake: Lake, metadata: Mapping[str, Any]) -> tuple[TrainingTask, pd.DataFrame]:
    """Task and rows that a version with these outputs was trained on, from the tables and settings that its `metadata` records.

    Raises:
        NotTrainable: the rows or an output are not there any more.
    """
    versions, settings = metadata["lake_versions"], metadata.get("settings", {})
    with learned_with(settings):
        frame, task = training_frame(name, lake, versions), training_task(name, versions)
    gone = [output for output in outputs if output not in frame]
    if gone:
        raise NotTrainable(f"{name} was trained for {', '.join(gone)} too, which catalogues/banks.toml names no more")
    return replace(task, outputs=tuple(outputs), settings=settings), frame


@cache
def tables_of(name: str) -> tuple[str, ...]:
    """The raw tables that a use case learns from."""
    asked = _Asked()
    FEATURE_SETS[name].training_frame(asked)
    return tuple(sorted(asked.names))


class _Asked(Mapping[str, Table]):
    """Empty tables that note which of them an expression takes."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> Table:
        self.names.add(name)
        return ibis.table(TABLES[name].schema, name=name)

    def __iter__(self) -> Iterator[str]:
        return iter(TABLES)

    def __len__(self) -> int:
        return len(TABLES)


def training_frame(name: str, lake: Lake, versions: dict[str, int]) -> pd.DataFrame:
    """Features and labels of a use case, one row per label, point in time, with labels named after the outputs.

    Raises:
        NotTrainable: the lake lacks a table that the use case learns from.
    """
    case, features = USE_CASES[name], FEATURE_SETS[name]
    try:
        frame = features.training_frame(lake.tables(versions)).to_pandas()
    except KeyError as error:
        raise NotTrainable(f"{name}: table {error.args[0]} is not in the lake: ingest it first (make ingest)") from error
    # The engine returns rows in any order; a fixed one makes the split, and so the model, reproducible.
    ordered = frame.sort_values(["as_of", *features.key], ignore_index=True)
    days = learning_settings().training_days.get(name)
    if days is not None:
        ordered = ordered[ordered["as_of"] > ordered["as_of"].max() - pd.Timedelta(days=days)].reset_index(drop=True)
    return ordered.rename(columns=dict(zip(case.label_columns, case.outputs, strict=True)))
