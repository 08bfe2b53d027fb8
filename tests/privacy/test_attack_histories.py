"""P3 and P7 over histories nobody thought of: who is counted, what it costs, and what a partner reads, against a naive model."""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import or_, select

from consent_api import consents, releases
from consent_api.store import Store, open_store
from consent_api.tables import RECORDS
from settings import Settings
from tests.privacy.histories import Histories

EXAMPLES = int(os.environ.get("OPORA_HISTORIES", "30"))
STEPS = 30


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A migrated SQLite database, all of it in the main file, that every history starts from a copy of."""
    store = open_store(Settings(var=tmp_path_factory.mktemp("template"), database_url=""))
    raw = store.engine.raw_connection()
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()
    return store


def explore(template: Store, folder: Path, examples: int = EXAMPLES, beginning: int | None = None) -> None:
    """Histories of a random beginning, or of a given one."""
    histories = lambda: Histories(template, folder)  # noqa: E731 - hypothesis writes its beginning on the function
    chosen = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(histories if beginning is None else seed(beginning)(histories), settings=chosen)


def test_p03_p07_no_history_counts_who_withdrew_or_overspends(template: Store, tmp_path: Path) -> None:
    explore(template, tmp_path)


Patch = pytest.MonkeyPatch


def _cache_cohorts(patch: Patch, remembered_for: Callable[[datetime], object]) -> dict:
    """Releases take their clients from a cache, which is returned; an entry holds while `remembered_for(at)` stays the same."""
    fresh, begin, kept = releases.consenting, releases._begin, {}

    def begun(connection, order, caps, actor, at):
        kind = (order.subject.company, order.subject.data_type)
        key = (connection.engine.url, *kind, remembered_for(at))
        if key not in kept:
            found = select(RECORDS.c.record_id).where(fresh(*kind, order.purpose, at))
            kept[key] = list(connection.scalars(found))
        patch.setattr(releases, "consenting", lambda *_: RECORDS.c.record_id.in_(kept[key]))
        return begin(connection, order, caps, actor, at)

    patch.setattr(releases, "_begin", begun)
    return kept


def stale_cache_on_revoke(patch: Patch) -> None:
    """The cache is as old as the clock's tick, and knows nothing of withdrawals within it; grants empty it."""
    kept, grant = _cache_cohorts(patch, lambda at: at), consents.grant
    patch.setattr(consents, "grant", lambda *arguments: (kept.clear(), grant(*arguments)))


def stale_cache_on_expiry(patch: Patch) -> None:
    """Every grant and withdrawal empties the cache; time does not."""
    kept, grant, revoke = _cache_cohorts(patch, lambda at: None), consents.grant, consents.revoke
    patch.setattr(consents, "grant", lambda *arguments: (kept.clear(), grant(*arguments)))
    patch.setattr(consents, "revoke", lambda *arguments: (kept.clear(), revoke(*arguments)))


def off_by_one_expiry(patch: Patch) -> None:
    """A consent still counts at the very moment of its end: `<=` where `<` was meant."""
    expire, consenting, late = consents.expire, releases.consenting, timedelta(microseconds=1)
    patch.setattr(consents, "expire", lambda connection, at, *scope: expire(connection, at - late, *scope))
    patch.setattr(releases, "consenting", lambda *kind: or_(consenting(*kind), consenting(*kind[:-1], kind[-1] - late)))


def revoke_of_the_latest_grant_only(patch: Patch) -> None:
    """Of several consents for a company only one ends."""
    revoke = consents.revoke

    def revoked(connection, client_code, company, actor, at, data_types=None):
        found = [each for each in consents.of_client(connection, client_code, at, company) if each.state == consents.ACTIVE]
        return revoke(connection, client_code, company, actor, at, data_types or [each.data_type for each in found[-1:]])

    patch.setattr(consents, "revoke", revoked)


BEGINNINGS = {stale_cache_on_revoke: 9, stale_cache_on_expiry: 11, off_by_one_expiry: 17, revoke_of_the_latest_grant_only: 11}
"""The bugs, each with a beginning of the random histories that comes upon it early; any other does within some hundred."""


@pytest.mark.parametrize("bug", BEGINNINGS, ids=lambda bug: bug.__name__)
def test_p03_each_seeded_bug_is_found(template: Store, tmp_path: Path, monkeypatch: Patch, bug: Callable[[Patch], None]) -> None:
    bug(monkeypatch)
    with pytest.raises(AssertionError, match="counts"):
        explore(template, tmp_path, 500, BEGINNINGS[bug])
