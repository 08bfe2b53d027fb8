"""One look at a model: what it scored in a window against its reference, and all that is told about it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import pandas as pd

from features.columns.models import of_course
from monitoring.drift import DriftLimits, DriftOutcome, Model, NothingToCompare, drift_report
from monitoring.findings import Finding
from monitoring.history import Sample
from monitoring.importance import importance
from monitoring.lately import NOTHING, Lately
from monitoring.learned import clients_of
from registry.loading import LoadedModel
from registry.scorer import CLUSTER

_WEEK = 7


@dataclass(frozen=True)
class Watched:
    """The model over a window until `at`.

    Attributes:
        outcome: None where there was nothing to compare; `reason` then says why.
        findings: on the data; those of the outcome come first.
        figures: traffic, quality and shadow of the window by name, for the dashboard.
        lately: what the newest days of the window show.
    """

    at: datetime
    outcome: DriftOutcome | None
    reason: str
    findings: tuple[Finding, ...]
    figures: Mapping[str, float]
    lately: Lately = NOTHING

    @property
    def broken(self) -> tuple[str, ...]:
        """Features whose source seems to be broken, in the window or in its newest days."""
        named = [*(self.outcome.broken if self.outcome else ()), *(found.column for found in self.lately.broken if found.column)]
        return tuple(dict.fromkeys(named))

    @property
    def alarm(self) -> bool:
        """Whether the model counts as drifted: by the window, or because something has surged or broken in its newest days."""
        return bool((self.outcome is not None and self.outcome.alarm) or self.lately.surges or self.lately.broken)


def watch(
    model: LoadedModel,
    sample: Sample,
    limits: DriftLimits,
    at: datetime,
    findings: tuple[Finding, ...] = (),
    figures: Mapping[str, float] | None = None,
    newest: Lately | None = None,
) -> Watched:
    """Compare a sample of the journal with the model's reference; too little of it gives a reason instead of an outcome.

    Args:
        findings, figures, newest: known from elsewhere; they are told with the rest.
    """
    newest = newest or NOTHING
    findings = (*findings, *(Finding("surge", one.column, one.sentence) for one in newest.surges), *newest.broken)
    watched = watched_columns(model, limits.seed)
    current = _current(sample.frame, watched)
    if len(current) and sample.frame["ts"].dt.date.nunique() < _WEEK:
        cycles = of_course(model.use_case, "cycles")
        watched = replace(watched, features=[name for name in watched.features if name not in cycles])
        current = current.drop(columns=list(cycles), errors="ignore")
    try:
        outcome = drift_report(model.scorer.reference, current, watched, limits, sample.total)
    except NothingToCompare as error:
        return Watched(at, None, str(error), (Finding("window", None, str(error)), *findings), figures or {}, newest)
    return Watched(at, outcome, "", (*outcome.findings, *findings), figures or {}, newest)


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
        growing=of_course(model.use_case, "grows"),
    )


def _current(frame: pd.DataFrame, model: Model) -> pd.DataFrame:
    """Features and predictions of a sample under the names of the reference, and a number for the client of each row.

    A feature may be called like a journal's field.
    """
    names = frame.columns.astype(str)
    features = [name for name in names if name.startswith("feature_")]
    kept = [*features, *(name for name in names if name in model.predictions)]
    current = frame[kept].rename(columns={name: name.removeprefix("feature_") for name in features})
    return current.assign(**{CLUSTER: clients_of(frame)})
