"""Scores of the journal together with what became of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
from sqlalchemy import Engine, func, select

from monitoring.draining import reading
from monitoring.history import IN_ORDER, expanded
from monitoring.rows import JOURNAL, LABELS, OK

_RANDOM_DIGITS = 18  # of a score_id, see history.sample


@dataclass(frozen=True)
class Outcomes:
    """Labelled scores.

    Attributes:
        frame: the rows as `history.window` lays them out.
        labels: by output, shape (rows,), NaN where that output has none.
    """

    frame: pd.DataFrame
    labels: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def predictions(self) -> dict[str, np.ndarray]:
        """By labelled output, shape (rows,)."""
        return {output: self.frame[f"prediction_{output}"].to_numpy(dtype="float64") for output in self.labels}

    @property
    def features(self) -> pd.DataFrame:
        """The features under their own names."""
        return features_of_rows(self.frame)


def features_of_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The features of rows of the journal, under their own names."""
    names = [name for name in map(str, frame.columns) if name.startswith("feature_")]
    return frame[names].rename(columns={name: name.removeprefix("feature_") for name in names})


def labelled(
    engine: Engine,
    use_case: str,
    version: str | None,
    since: datetime | None,
    until: datetime,
    most: int,
    newest: bool = False,
    told: tuple[datetime, datetime] | None = None,
) -> Outcomes:
    """Labelled scores that a version, None = any, really gave (no failures, no simulations) for since ≤ ts < until.

    Args:
        since: None = from the first one.
        most: of more, a random sample; with `newest`, the newest ones.
        told: only by labels that became known after the first of these moments and not after the second.
    """
    journal = JOURNAL.c
    within = [journal.use_case == use_case, journal.ts < until, journal.status == OK]
    if version is not None:
        within.append(journal.model_version == version)
    if since is not None:
        within.append(journal.ts >= since)
    known = () if told is None else (LABELS.c.labelled_at > told[0], LABELS.c.labelled_at <= told[1])
    order = journal.ts.desc() if newest else func.substr(journal.score_id, _RANDOM_DIGITS)
    joined = select(LABELS.c.score_id).where(LABELS.c.score_id == journal.score_id, *known).exists()
    chosen = select(journal.score_id).where(*within, journal.is_simulation.is_(False), joined).order_by(order).limit(most)
    chosen_ids = chosen.subquery()
    scores = select(JOURNAL).join(chosen_ids, journal.score_id == chosen_ids.c.score_id).order_by(*IN_ORDER)
    labels = (
        select(LABELS.c.score_id, LABELS.c.output, LABELS.c.label)
        .join(chosen_ids, LABELS.c.score_id == chosen_ids.c.score_id)
        .where(*known)
    )
    with reading(engine) as connection:
        frame = expanded(connection, connection.execute(scores).mappings().all())
        found = pd.DataFrame(connection.execute(labels).all(), columns=["score_id", "output", "label"])
    wide = found.pivot(index="score_id", columns="output", values="label").reindex(frame["score_id"])
    return Outcomes(frame, {str(output): wide[output].to_numpy(dtype="float64") for output in wide})
