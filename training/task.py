"""What is to be learned, and the rows it is learned from."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

Kind = Literal["binary", "regression"]


class NotTrainable(Exception):
    """The table cannot be trained on; the message says what it lacks."""


@dataclass(frozen=True)
class TrainingTask:
    """A supervised problem over one table.

    Attributes:
        name: registered model that the result becomes a version of.
        outputs: label columns; each gets a booster of its own. A missing label leaves the row out for that output.
        kind: "binary" (labels 0/1) or "regression".
        metric: name in `registry.metrics.METRICS` by which trials are selected and versions are gated.
        features: names of the feature columns.
        weight: column with the weight of each row, None = 1.
        time: column by which rows are ordered before splitting, None = split at random.
        sometimes_absent: columns that some callers cannot give; half of the rows that are learned from lack them, so that a
            prediction is honest with and without them.
        positive: a regression label that is always above 0 is learned in log space.
        lake_versions: version of every table that the frame was computed from.
    """

    name: str
    outputs: tuple[str, ...]
    kind: Kind
    metric: str
    features: tuple[str, ...]
    weight: str | None = None
    time: str | None = None
    positive: bool = False
    sometimes_absent: tuple[str, ...] = ()
    lake_versions: dict[str, int] = field(default_factory=dict)

    @property
    def link(self) -> str:
        """Link between margins and predictions (see `registry.scorer.Output`)."""
        if self.kind == "binary":
            return "logit"
        return "log" if self.positive else "identity"


@dataclass(frozen=True)
class Part:
    """Rows of one side of a split: the encoded matrix, labels by output, weights."""

    frame: pd.DataFrame
    matrix: np.ndarray
    labels: dict[str, np.ndarray]
    weights: np.ndarray

    def known(self, output: str) -> np.ndarray:
        """Mask of the rows whose label for `output` is known."""
        return ~np.isnan(self.labels[output])


def check_trainable(task: TrainingTask, frame: pd.DataFrame, fewest: int = 200) -> None:
    """Refuse a frame that cannot give an honest model.

    Raises:
        NotTrainable: too few rows, a missing column, a label with one value, or infinite labels.
    """
    wanted = [*task.features, *task.outputs, *filter(None, (task.weight, task.time))]
    absent = [name for name in wanted if name not in frame.columns]
    if absent:
        raise NotTrainable(f"{task.name}: the table has no column {', '.join(absent)}")
    for output in task.outputs:
        labels = frame[output].dropna().to_numpy(dtype="float64")
        if len(labels) < fewest:
            raise NotTrainable(
                f"{task.name}: {len(labels)} rows have a label {output}, at least {fewest} are needed: ingest more"
            )
        if not np.isfinite(labels).all() or len(np.unique(labels)) < 2:
            raise NotTrainable(f"{task.name}: label {output} is infinite somewhere or has a single value: check the export")
        if task.kind == "binary" and not np.isin(labels, (0, 1)).all():
            raise NotTrainable(f"{task.name}: label {output} of a binary task must be 0 or 1")
        if task.positive and labels.min() <= 0:
            raise NotTrainable(f"{task.name}: label {output} has values of 0 or below, so it cannot be learned in log space")
