"""What is to be learned, and the rows it is learned from."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

Kind = Literal["binary", "regression", "multiclass"]


class NotTrainable(Exception):
    """The table cannot be trained on; the message says what it lacks."""


@dataclass(frozen=True)
class TrainingTask:
    """A supervised problem over one table.

    Attributes:
        name: registered model that the result becomes a version of.
        outputs: label columns; each gets a booster of its own. A missing label leaves the row out for that output.
        kind: "binary" (labels 0/1), "regression", or "multiclass" (one output; labels are positions in `classes`).
        metric: name in `registry.metrics.METRICS` by which trials are selected and versions are gated.
        features: names of the feature columns.
        weight: column with the weight of each row, None = 1.
        time: column by which rows are ordered before splitting, None = split at random.
        group: column whose rows with one value never lie on two sides of a split, None = every row for itself.
        sometimes_absent: columns that some callers cannot give; half of the rows that are learned from lack them, probabilities
            are calibrated for rows with and without them, and thresholds and the gate go by rows without, as requests come.
        positive: a regression label that is always above 0 is learned in log space.
        entity: column whose rows are drawn together when a figure's uncertainty is estimated, None = each row for itself.
        classes: names of the classes of a multiclass task, in the order of their codes.
        monotone: features whose effect may only rise (1) or fall (-1).
        protected: columns by which fairness is reported, features or not.
        segments: borders in label units at which segments begin that intervals are calibrated in, each for itself.
        lake_versions: version of every table that the frame was computed from.
        settings: what it is learned with, recorded so that a version can be made again.
        table: how a table of the user's own was read, so that scoring reads the next one alike.
    """

    name: str
    outputs: tuple[str, ...]
    kind: Kind
    metric: str
    features: tuple[str, ...]
    weight: str | None = None
    time: str | None = None
    group: str | None = None
    positive: bool = False
    sometimes_absent: tuple[str, ...] = ()
    entity: str | None = None
    classes: tuple[str, ...] = ()
    monotone: dict[str, int] = field(default_factory=dict)
    protected: tuple[str, ...] = ()
    segments: tuple[float, ...] = ()
    lake_versions: dict[str, int] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    table: dict[str, Any] = field(default_factory=dict)

    @property
    def link(self) -> str:
        """Link between margins and predictions (see `registry.scorer.Output`)."""
        if self.kind != "regression":
            return "logit" if self.kind == "binary" else "softmax"
        return "log" if self.positive else "identity"

    @property
    def predicts(self) -> str:
        """What is predicted, in the words of a table of the user's own where it is one."""
        target = self.table.get("target")
        if target is None:
            return ", ".join(self.outputs)
        return f"{target} = {self.table['classes'][1]}" if self.kind == "binary" else str(target)

    @property
    def complete_figure(self) -> str:
        """Name of the metric's figure on the holdout's rows with what is sometimes absent."""
        return f"holdout_{self.metric}_with_what_is_sometimes_absent"


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

    def take(self, rows: np.ndarray) -> "Part":
        """Some of the rows, by position."""
        labels = {output: values[rows] for output, values in self.labels.items()}
        return Part(self.frame.iloc[rows], self.matrix[rows], labels, self.weights[rows])
