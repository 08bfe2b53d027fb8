"""Promises of the log of releases: what partners have read is neither lost nor made a second time by a restored backup."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from consent_api import budget, consents, releases, restore
from consent_api.audit import Actor
from consent_api.budget import BudgetExhausted, Caps
from consent_api.consents import Grant
from consent_api.custody import released
from consent_api.custody.append_only import AppendOnlyFile
from consent_api.periods import Period
from consent_api.releases import Documents, Order, Subject
from consent_api.restore import BrokenLog, Replayed
from consent_api.store import Store

ACTOR = Actor("flow:aggregate", "flow")
AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
KIND = ("dala-market", "category_spending", "market_statistics")
OCTOBER, SEPTEMBER = (Subject(*KIND[:2], Period(2026, month)) for month in (10, 9))
RHO = 0.0625
CAPS = Caps(RHO, RHO)
DOCUMENTS: Documents = {"all": '{"metrics":{"top_category":"Кафе"}}'.encode(), "age_group": None, "city": b"{}" * 50_000}


def give(store: Store, *clients: str) -> None:
    with store.writing() as connection:
        consents.grant(connection, [Grant(client, *KIND) for client in clients], ACTOR, AT)


def release(store: Store, subject: Subject = OCTOBER) -> list[str]:
    """Publish `DOCUMENTS` as the release; gives whom it counts, nobody when it was made before."""
    counted = []
    for begun in releases.begin(store, [Order(subject, KIND[2], RHO)], CAPS, ACTOR, lambda: AT):
        releases.publish(store, [(begun, DOCUMENTS)], ACTOR, AT)
        counted += begun.counted
    return counted


def replay(store: Store) -> Replayed:
    return restore.replay(store, AT, 10)


def test_p02_a_month_that_was_released_is_the_same_bytes_after_a_restored_backup(store: Store, backup) -> None:
    give(store, "1", "2")
    put_back = backup()
    assert release(store) == ["1", "2"]
    put_back()
    assert releases.published(store, OCTOBER) == {}  # that is what a restore does
    assert replay(store).releases == 1
    assert releases.published(store, OCTOBER) == DOCUMENTS
    assert release(store) == []
    assert replay(store).releases == 0


def test_p07_what_a_release_has_cost_is_not_forgotten_by_a_restored_backup(store: Store, backup) -> None:
    give(store, "1", "2")
    put_back = backup()
    release(store)
    with store.writing() as connection:
        consents.revoke(connection, "2", KIND[0], ACTOR, AT)
    put_back()
    replay(store)
    with store.reading() as connection:
        assert [budget.client_spent(connection, client, 2026) for client in ("1", "2")] == [budget.cost(RHO)] * 2
    with pytest.raises(BudgetExhausted):
        release(store, SEPTEMBER)


def test_p02_a_release_that_was_paid_for_before_the_backup_and_published_after_it_comes_back(store: Store, backup) -> None:
    give(store, "1")
    (begun,) = releases.begin(store, [Order(OCTOBER, KIND[2], RHO)], CAPS, ACTOR, lambda: AT)
    put_back = backup()
    releases.publish(store, [(begun, DOCUMENTS)], ACTOR, AT)
    put_back()
    assert replay(store).releases == 1
    assert releases.published(store, OCTOBER) == DOCUMENTS
    with store.reading() as connection:
        assert budget.client_spent(connection, "1", 2026) == budget.cost(RHO)


def test_releases_from_before_the_log_was_kept_get_into_it(store: Store, backup) -> None:
    give(store, "1")
    put_back = backup()
    release(store)
    store.custody.released.path.unlink()
    assert replay(store).releases == 0
    put_back()
    assert replay(store).releases == 1
    assert releases.published(store, OCTOBER) == DOCUMENTS


def test_nothing_is_published_when_the_log_cannot_be_written(store: Store) -> None:
    give(store, "1")
    store.custody.released.path.mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        release(store)
    assert releases.published(store, OCTOBER) == {}
    store.custody.released.path.rmdir()
    assert release(store) == ["1"]


def test_a_log_of_releases_that_was_touched_is_named_and_nothing_starts(store: Store) -> None:
    release(store)
    release(store, Subject("jolda-travel", KIND[1], OCTOBER.period))
    path = store.custody.released.path
    whole = path.read_bytes()
    first, second = whole.splitlines(keepends=True)
    for touched, line in ((first.replace(b'"year":2026', b'"year":2025') + second, 1), (second, 1), (first + first + second, 2)):
        path.write_bytes(touched)
        with pytest.raises(BrokenLog, match=f"line {line} of"):
            replay(store)
    path.write_bytes(whole)
    assert replay(store) == Replayed(0, 0, 0, 0)


def test_a_line_may_be_longer_than_what_is_read_at_once(store: Store, tmp_path: Path) -> None:
    """The documents of a bank with many cities are."""
    give(store, "1")
    release(store)
    assert store.custody.released.path.stat().st_size > 1 << 16
    copy = AppendOnlyFile(tmp_path / "copy")
    shutil.copy(store.custody.released.path, copy.path)
    (only,) = released.kept(copy).values()
    released.keep(copy, [only])
    assert [line["sequence"] for line in copy.read()] == [1, 2]
    assert released.kept(copy) == {only.subject: only}
