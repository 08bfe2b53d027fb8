"""The journal, the online features and the other figures of a window, gathered for one report."""

from dataclasses import replace
from datetime import datetime, timedelta

from database import open_database
from features.online import OnlineStore
from monitoring import figures
from monitoring.as_served import as_served
from monitoring.drift import DriftLimits
from monitoring.findings import Finding, clock_findings, staleness_findings
from monitoring.journal import Journal
from monitoring.lately import lately
from monitoring.rows import open_journal
from monitoring.watch import Watched, watch
from registry.loading import LoadedModel
from settings import Settings

ONLINE_SETS = ("income", "recommendation", "fraud")
"""Use cases whose clients' features are published ahead; a prescoring form brings its own."""


def observe(model: LoadedModel, since: datetime, until: datetime, config: Settings, live: bool = True) -> Watched:
    """What the model scored for since ≤ ts < until against its reference, with the traffic of the window's last day.

    Args:
        live: whether `until` is the present, so that later rows and old online features are findings.
    """
    engine = open_journal(config)
    day = max(since, until - timedelta(days=1))
    known = {
        **figures.traffic(engine, model.use_case, day, until),
        **figures.shadow(engine, model.use_case, day, until),
        **figures.quality(model, engine, since, until, config),
    }
    return replace(compare(model, since, until, config, live), figures=known)


def compare(model: LoadedModel, since: datetime, until: datetime, config: Settings, live: bool = True) -> Watched:
    """The same without the figures beside, which cost more than the comparison."""
    limits = DriftLimits(config.drift_rows, config.drift_fewest_rows, config.drift_distance, config.drift_share, config.seed)
    engine = open_journal(config)
    with Journal(engine) as journal:
        sample = journal.sample(model.use_case, model.version, since, until, limits.rows, limits.seed)
        future = journal.future_rows(model.use_case, model.version, until) if live else 0
    model = as_served(model, sample.frame, config.seed)
    found = [*clock_findings(future, until), *(_staleness(model.use_case, until, config) if live else [])]
    return watch(model, sample, limits, until, tuple(found), newest=lately(model, engine, until, config))


def _staleness(use_case: str, until: datetime, config: Settings) -> list[Finding]:
    if use_case not in ONLINE_SETS:
        return []
    as_of = OnlineStore(open_database(config.database("online"))).newest(use_case)
    return staleness_findings(as_of, until, timedelta(days=config.stale_features_days))
