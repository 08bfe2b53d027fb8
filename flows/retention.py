"""The flow that deletes what is due, every day: from the consent database, and what killed flows left on the disk."""

from contextlib import closing
from datetime import timedelta

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact

from clock import now
from consent_api.retention import Policy, retain
from consent_api.store import open_store
from flows.scratch import remove_abandoned
from registry import models
from settings import settings
from training.workshop import remove_abandoned_searches

SEARCHES_KEPT = timedelta(days=7)
"""So long a killed search waits for somebody who goes on with it."""
LONGEST_RUN = timedelta(days=2)
"""No training takes as long: a search may take a day at most."""


@flow(name="retention")
def retention() -> dict[str, int]:
    """Carry out the erasures that clients asked for, and delete rows before their deadline; returns how many by kind.

    Raises:
        DBAPIError: the consent database does not answer.
    """
    remove_abandoned()
    remove_abandoned_searches(settings().var / "searches", now() - SEARCHES_KEPT)
    with closing(open_store(settings())) as store:
        deleted = retain(store, Policy.of(settings()), now())
    for what, count in deleted.items():
        get_run_logger().info("%s: %d", what, count)
    table = [{"what": what, "rows": count} for what, count in deleted.items()]
    create_table_artifact(key="retention", table=table, description="What was deleted from the consent database.")
    models.end_abandoned_runs(now() - LONGEST_RUN)  # last: erasures must not wait for a tracking server that is away
    return deleted
