"""The four use cases as training tasks over the lake."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.lake import Lake
from features.payments import DESTINATION_COLUMNS
from features.sets import FEATURE_SETS
from features.tables import BANKS
from training.fit import Thresholds
from training.task import Kind, NotTrainable, TrainingTask
from training.thresholds import ReviewCosts, approval_threshold, risk_thresholds


@dataclass(frozen=True)
class UseCase:
    """What is particular to a use case: labels, kind, the metric it is selected by, thresholds it needs."""

    outputs: tuple[str, ...]
    kind: Kind
    metric: str
    label_columns: tuple[str, ...]
    weight: str | None = None
    positive: bool = False
    sometimes_absent: tuple[str, ...] = ()
    thresholds: Thresholds | None = None


def _risk(_output: str, labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    return risk_thresholds(labels, probabilities, ReviewCosts())


def _approval(_output: str, labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    return approval_threshold(labels, probabilities)


USE_CASES: Mapping[str, UseCase] = {
    "income": UseCase(("income",), "regression", "wmae", ("income",), weight="w", positive=True),
    "prescoring": UseCase(BANKS, "binary", "roc_auc", BANKS, thresholds=_approval),
    "recommendation": UseCase(("accepted",), "binary", "roc_auc", ("accepted",)),
    "fraud": UseCase(
        ("fraud",),
        "binary",
        "pr_auc",
        ("is_fraud",),
        sometimes_absent=tuple(c.name for c in DESTINATION_COLUMNS),
        thresholds=_risk,
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
        lake_versions=versions,
    )


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
    return ordered.rename(columns=dict(zip(case.label_columns, case.outputs, strict=True)))
