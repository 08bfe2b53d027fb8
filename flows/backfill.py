"""`make backfill`: the reports of the journal's past days, as if the drift flow had run each night."""

import argparse
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

from mlflow.exceptions import MlflowException

from clock import now
from monitoring.journal import Journal
from monitoring.observation import observe
from monitoring.rows import open_journal
from registry import models
from registry.loading import LoadedModel
from registry.scorer import DamagedModel
from settings import Settings, settings

DAYS = 30
"""How far back each report looks, as the drift flow does."""


def backfill(use_case: str, config: Settings, most_days: int = 366) -> list[date]:
    """File a report for the end of every past day with scores of `use_case` that has none yet; returns those days.

    Each day is seen by the version that gave most of its scores; a version that cannot be loaded any more leaves its days out.
    Days whose reports would be deleted again (OPORA_REPORT_DAYS) are not filed.
    """
    from monitoring.workspace import ReportWorkspace  # takes seconds to import

    workspace = ReportWorkspace(config.var)
    today = now().date()
    first = today - timedelta(days=min(most_days, config.report_days))
    with Journal(open_journal(config)) as journal:
        versions = journal.versions_by_day(use_case, _midnight(first), _midnight(today))
    missing = sorted(versions.keys() - workspace.days(use_case))
    loaded: dict[str, LoadedModel | None] = {}
    filed = []
    for day in missing:
        version = versions[day]
        if version not in loaded:
            loaded[version] = _load(use_case, version, config)
        model = loaded[version]
        if model is not None:
            until = _midnight(day + timedelta(days=1))
            watched = observe(model, until - timedelta(days=DAYS), until, config, live=False)
            workspace.file(use_case, version, replace(watched, at=until - timedelta(seconds=1)), page=False)  # on its own day
            filed.append(day)
    return filed


def _load(use_case: str, version: str, config: Settings) -> LoadedModel | None:
    try:
        return models.load_version(use_case, version, config)
    except (DamagedModel, MlflowException) as error:
        print(f"{use_case}: version {version} cannot be loaded, its days are left out: {error}", file=sys.stderr)
        return None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def main() -> int:
    """Fill in every use case; prints how many days each got."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=366, help="how many past days to look at")
    days = parser.parse_args().days
    for use_case in models.USE_CASES:
        filed = backfill(use_case, settings(), days)
        span = f", {filed[0]} to {filed[-1]}" if filed else ""
        print(f"{use_case}: {len(filed)} reports{span}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
