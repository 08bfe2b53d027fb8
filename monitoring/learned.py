"""What an estimate learns from: matured labelled scores of a version, or the labelled samples that are stored with it."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
from sqlalchemy import Engine

from features.columns.models import of_course
from monitoring.amounts import enough
from monitoring.error_model import Amounts
from monitoring.estimation import Rows, learnable
from monitoring.outcomes import features_of_rows, labelled
from registry.encoding import encode
from registry.scorer import CLUSTER, Scorer

_MOST = 5000


def learned_from(engine: Engine, use_case: str, version: str, scorer: Scorer, until: datetime) -> Rows | None:
    """Probabilities with labels: the newest before `until` where they suffice, else those stored with the version, if any."""
    newest = labelled(engine, use_case, version, None, until, _MOST, newest=True)
    if set(newest.labels) == set(scorer.outputs):
        rows = Rows(encode(newest.features, scorer.columns_), newest.predictions, newest.labels, clients_of(newest.frame))
        if learnable(rows):
            return rows
    return stored_rows(scorer)


def learned_amounts(engine: Engine, use_case: str, version: str, scorer: Scorer, until: datetime) -> Amounts | None:
    """Amounts with labels: the newest before `until` where they suffice, else the reference's; None without labels."""
    newest = labelled(engine, use_case, version, None, until, _MOST, newest=True)
    for output, labels in newest.labels.items():
        rows = amounts_of(scorer, newest.frame, newest.predictions[output], labels)
        if enough(rows):
            return rows
    return reference_amounts(scorer)


def reference_rows(scorer: Scorer) -> Rows | None:
    """The sample of the holdout that is stored with a version; None for one that was stored without labels."""
    return _labelled_rows(scorer, scorer.reference)


def stored_rows(scorer: Scorer) -> Rows | None:
    """All labelled rows that are stored with a version, in order of time: those before the holdout as well, where there are some.

    The boosters have not seen the calibration rows, and a map of few parameters makes them little better than others. What a
    holdout of few weeks lacks are campaigns: estimates from both are narrower and hold as often.
    """
    if scorer.calibration is None:
        return reference_rows(scorer)
    return _labelled_rows(scorer, pd.concat([scorer.calibration, scorer.reference], ignore_index=True))


def _labelled_rows(scorer: Scorer, sample: pd.DataFrame) -> Rows | None:
    if any(f"label_{output}" not in sample for output in scorer.outputs):
        return None
    predictions = {output: sample[f"prediction_{output}"].to_numpy(dtype="float64") for output in scorer.outputs}
    labels = {output: sample[f"label_{output}"].to_numpy(dtype="float64") for output in scorer.outputs}
    clients = sample[CLUSTER].to_numpy() if CLUSTER in sample else np.arange(len(sample))
    return Rows(encode(sample, scorer.columns_), predictions, labels, clients)


def reference_amounts(scorer: Scorer) -> Amounts | None:
    """The same sample of a model of amounts."""
    rows = reference_rows(scorer)
    if rows is None:
        return None
    ((output, labels),) = rows.labels.items()
    reference = scorer.reference
    low, high = scorer.interval(output, reference)
    return Amounts(rows.matrix, rows.predictions[output], low, high, labels, rows.clients, np.zeros(len(reference)))


def amounts_of(scorer: Scorer, frame: pd.DataFrame, predictions: np.ndarray, labels: np.ndarray) -> Amounts:
    """Rows of the journal of a model of one amount, with the intervals of their predictions; `labels` may be all NaN."""
    (output,) = scorer.outputs
    features, ts = features_of_rows(frame), pd.to_datetime(frame["ts"], utc=True).dt
    low, high = scorer.interval(output, features)
    months = (ts.year * 12 + ts.month).to_numpy()
    return Amounts(encode(features, scorer.columns_), predictions, low, high, labels, clients_of(frame), months)


def without_calendar(use_case: str, scorer: Scorer, rows: Rows) -> Rows:
    """The rows, compared with those of another time by what time alone does not move.

    By the weekday or by how long ago the first payment was any two times can be told apart, so that hardly a row of the one would
    pass for one of the other. Of a table of one's own it is not known which columns do so: all stay.
    """
    moved = of_course(use_case, "grows") | of_course(use_case, "cycles")
    return replace(rows, matrix=rows.matrix[:, [column.name not in moved for column in scorer.columns_]])


def clients_of(frame: pd.DataFrame) -> np.ndarray:
    """A number for each client of rows of the journal; a row without one stands alone."""
    clients = frame["client_id"].astype("object").fillna(frame["score_id"])
    return np.asarray(pd.factorize(clients)[0])
