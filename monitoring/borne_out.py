"""Whether the labels that have come say that scores mean what they did, although something has surged."""

from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import Engine

from monitoring.amounts import STATED
from monitoring.estimation import FEWEST_LABELLED
from monitoring.learned import clients_of
from monitoring.outcomes import Outcomes, labelled
from monitoring.surges import NEWEST_DAYS
from registry.scorer import Scorer

_MOST = 20_000
_ONE_SIDED = 1.645
"""Standard errors that leave out 5 % on one side."""


def borne_out(
    engine: Engine, use_case: str, version: str, scorer: Scorer, told_at: datetime, until: datetime, margin: float
) -> bool:
    """Whether the version's scores since what was told at `told_at` are borne out by those of their labels that have come.

    Nobody has to wait for all labels of a month to learn that a new release of the phones' system is harmless. That a label came
    early must not depend on what it says: where frauds are told before the rest, it takes longer, which is the safe side.

    Args:
        scorer: of the version.
        margin: share of the rows by which a range has to have grown to be a surge, so that less goes unnoticed anyway.
    """
    since = labelled(engine, use_case, version, told_at - timedelta(days=NEWEST_DAYS), until, _MOST)
    if set(since.labels) != set(scorer.outputs) or len(since) < FEWEST_LABELLED:
        return False
    clients = clients_of(since.frame)
    return all(_as_stated(*_outcome(since, scorer, output), clients, margin) for output in since.labels)


def _outcome(since: Outcomes, scorer: Scorer, output: str) -> tuple[np.ndarray, np.ndarray]:
    """What was stated of each row, as a probability, and whether it came true: label 1, or an amount outside its interval."""
    labels = since.labels[output]
    if all(one.interval is None for one in scorer.outputs_ if one.name == output):
        return since.predictions[output], labels
    low, high = scorer.interval(output, since.features)
    return np.full(len(labels), 1 - STATED), ((labels < low) | (labels > high)).astype("float64")


def _as_stated(stated: np.ndarray, came: np.ndarray, clients: np.ndarray, margin: float) -> bool:
    """Whether the share that came true differs from what was stated by less than `margin`, with 95 % confidence.

    Rows of a client go together; nor is the standard error less than it would be if the margin were used up. Source:
    Schuirmann, A Comparison of the Two One-Sided Tests Procedure (1987).
    """
    known = ~np.isnan(came)
    off, size = (came - stated)[known], int(known.sum())
    sums = np.bincount(clients[known], off - off.mean())
    least = (stated * (1 - stated))[known].sum() + margin * size
    error = np.sqrt(max((sums**2).sum(), least)) / size
    return bool(abs(off.mean()) <= margin - _ONE_SIDED * error)
