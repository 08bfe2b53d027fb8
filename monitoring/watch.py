"""One look at a model: what it scored in a window against its reference, and all that is told about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from monitoring.drift import DriftLimits, DriftOutcome, Model, NothingToCompare, drift_report
from monitoring.findings import Finding
from monitoring.history import Sample
from monitoring.importance import importance
from registry.loading import LoadedModel


@dataclass(frozen=True)
class Watched:
    """The model over a window until `at`.

    Attributes:
        outcome: None where there was nothing to compare; `reason` then says why.
        findings: on the data; those of the outcome come first.
        figures: traffic, quality and shadow of the window by name, for the dashboard.
    """

    at: datetime
    outcome: DriftOutcome | None
    reason: str
    findings: tuple[Finding, ...]
    figures: Mapping[str, float]


def watch(
    model: LoadedModel,
    sample: Sample,
    limits: DriftLimits,
    at: datetime,
    findings: tuple[Finding, ...] = (),
    figures: Mapping[str, float] | None = None,
) -> Watched:
    """Compare a sample of the journal with the model's reference; too little of it gives a reason instead of an outcome.

    Args:
        findings, figures: known from elsewhere; they are told with the rest.
    """
    watched = watched_columns(model, limits.seed)
    try:
        outcome = drift_report(model.scorer.reference, _current(sample.frame, watched), watched, limits, sample.total)
    except NothingToCompare as error:
        return Watched(at, None, str(error), (Finding("window", None, str(error)), *findings), figures or {})
    return Watched(at, outcome, "", (*outcome.findings, *findings), figures or {})


def watched_columns(model: LoadedModel, seed: int) -> Model:
    """The features of a model with their importance, and its predictions as its reference names them."""
    scorer = model.scorer
    return Model(
        features=scorer.columns,
        predictions=[
            name for name in scorer.reference.columns.astype(str) if name.startswith("prediction_") and name not in scorer.columns
        ],
        importance=importance(scorer, seed),
        optional=scorer.metadata.get("sometimes_absent", ()),
    )


def _current(frame: pd.DataFrame, model: Model) -> pd.DataFrame:
    """Features and predictions of a sample under the names of the reference; a feature may be called like a journal's field."""
    names = frame.columns.astype(str)
    features = [name for name in names if name.startswith("feature_")]
    kept = [*features, *(name for name in names if name in model.predictions)]
    return frame[kept].rename(columns={name: name.removeprefix("feature_") for name in features})
