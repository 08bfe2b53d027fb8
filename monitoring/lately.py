"""The newest days of a use case in the journal: what has surged, and which columns have broken since."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd
from sqlalchemy import Engine

from features.columns.models import of_course
from monitoring import history
from monitoring.chance import quality_level
from monitoring.columns import pair_columns
from monitoring.draining import reading
from monitoring.findings import BROKEN, Finding, column_findings, schema_findings
from monitoring.learned import clients_of
from monitoring.outcomes import features_of_rows
from monitoring.standing import told_before
from monitoring.surges import BEFORE_DAYS, NEWEST_DAYS, Surge, surges
from registry.loading import LoadedModel
from registry.scorer import CLUSTER
from settings import Settings

_MOST = 30_000
_FEWEST = 100
_SAME_EVENING = timedelta(hours=12)
"""A report that is made again within this time says the same again; later a surge that was told is no news."""


@dataclass(frozen=True)
class Lately:
    """What the newest days show that a month hides.

    Attributes:
        surges: value ranges that have become more frequent, the most surprising first; none of broken columns.
        broken: findings on columns whose newest rows show a broken source, in words.
    """

    surges: tuple[Surge, ...] = ()
    broken: tuple[Finding, ...] = ()

    @property
    def told(self) -> tuple[Surge | Finding, ...]:
        """All of it, what is broken first: only labels can explain it."""
        return (*self.broken, *self.surges)


NOTHING = Lately()
"""Nothing was looked at, or nothing is new."""


def lately(model: LoadedModel, engine: Engine, until: datetime, config: Settings) -> Lately:
    """Judge the three days before `until` by the 21 before them, whichever version gave the scores, and by the reference."""
    since = until - timedelta(days=NEWEST_DAYS + BEFORE_DAYS)
    with reading(engine) as connection:
        rows = history.sample(connection, model.use_case, None, (since, until), _MOST, config.seed).frame
    if rows.empty:
        return NOTHING
    moments = pd.to_datetime(rows["ts"], utc=True)
    features = features_of_rows(rows)
    features = features[[name for name in model.scorer.columns if name in features]]
    optional = set(model.scorer.metadata.get("sometimes_absent", ()))
    cycles = of_course(model.use_case, "cycles")
    found = surges(features, rows["client_id"], moments, until, config.drift_surge, optional | cycles)
    whose = features.assign(**{CLUSTER: clients_of(rows)})
    broken = _broken(model, whose, moments, until, [name for name in model.scorer.columns if name not in optional])
    broken += _broken_today(model, whose, moments, [one.column for one in found])
    known = told_before(engine, model.use_case, since, until - _SAME_EVENING) | {one.column for one in broken}
    return Lately(
        surges=tuple(one for one in found if one.column not in known),
        broken=tuple({(one.column, one.kind): one for one in broken}.values()),
    )


def _broken(model: LoadedModel, features: pd.DataFrame, moments: pd.Series, until: datetime, names: list[str]) -> list[Finding]:
    """Columns that are broken in the newest three days."""
    if (until - moments.min()) < timedelta(days=NEWEST_DAYS - 1):
        return []  # within one day the day of the week is constant
    newest = features[(moments >= until - timedelta(days=NEWEST_DAYS)).to_numpy()]
    return _findings(model.scorer.reference, newest, names)


def _broken_today(model: LoadedModel, features: pd.DataFrame, moments: pd.Series, surged: list[str]) -> list[Finding]:
    """Columns whose surge is a source that broke within these days: the newest rows hold nothing else any more.

    The newest rows alone would not do: those of a batch may be sorted.
    """
    newest = features.loc[moments.sort_values().index[-_FEWEST:]]
    return _findings(model.scorer.reference, newest, surged)


def _findings(reference: pd.DataFrame, newest: pd.DataFrame, names: list[str]) -> list[Finding]:
    if len(newest) < _FEWEST or reference.empty or not names:
        return []
    level = quality_level(len(names))
    found = schema_findings(reference, newest, names)
    found += [one for pair in pair_columns(reference, newest, names) for one in column_findings(pair, newest, level)]
    return [one for one in found if one.kind in BROKEN]
