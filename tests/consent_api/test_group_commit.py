"""Promises of the group commit: one durable transaction for many callers, each of whom is served as if alone."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import event, func, insert, select
from sqlalchemy.exc import DBAPIError

from consent_api import audit
from consent_api.audit import Actor, Entry
from consent_api.committer import CommitterClosed, TooManyWait
from consent_api.custody import withdrawals
from consent_api.custody.withdrawals import Withdrawal
from consent_api.store import Store
from consent_api.tables import AUDIT, EVENTS
from settings import PROJECT

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
ACTOR = Actor("test", "staff")


def note(action: str) -> Callable:
    """Work that writes one audit row and answers with its action."""

    def work(connection) -> str:
        audit.append(connection, ACTOR, AT, [Entry(action)])
        return action

    return work


def failing(action: str) -> Callable:
    """Work that writes an audit row and a line of the withdrawal log, and then raises."""

    def work(connection) -> None:
        note(action)(connection)
        withdrawals.note(connection, [Withdrawal("withdrawn", "17", AT)])
        raise LookupError(action)

    return work


@contextmanager
def gathering(store: Store) -> Iterator[None]:
    """What is submitted inside comes together in one group, which begins when the block ends."""
    begun, go = threading.Event(), threading.Event()
    held = store.submit(lambda _connection: (begun.set(), go.wait()))
    begun.wait()
    try:
        yield
    finally:
        go.set()
        held.result()


def submit_for_ever(store: Store) -> None:
    while True:
        store.submit(lambda _connection: None)


def actions(store: Store) -> list[str]:
    with store.reading() as connection:
        assert audit.verify(connection).first_bad is None
        return list(connection.scalars(select(AUDIT.c.action).order_by(AUDIT.c.sequence)))


def test_many_callers_share_one_commit_and_each_gets_its_own_answer(store: Store) -> None:
    commits: list[object] = []
    with gathering(store):
        done = [store.submit(note(f"a{number}")) for number in range(50)]
        event.listen(store.engine, "commit", commits.append)
    assert [future.result() for future in done] == [f"a{number}" for number in range(50)]
    assert len(commits) == 2  # of the unit that held the others up, and of the group
    assert actions(store) == [f"a{number}" for number in range(50)]


def test_work_sees_what_was_done_before_it_in_the_group(store: Store) -> None:
    with gathering(store):
        store.submit(note("first"))
        seen = store.submit(lambda connection: connection.scalar(select(func.count()).select_from(AUDIT)))
    assert seen.result() == 1


@pytest.mark.parametrize("alone", [True, False])
def test_work_that_raises_leaves_nothing_behind_and_harms_no_other(store: Store, alone: bool) -> None:
    with gathering(store):
        others = [] if alone else [store.submit(note("before"))]
        failed = store.submit(failing("x"))
        others += [] if alone else [store.submit(note("after"))]
    with pytest.raises(LookupError, match="x"):
        failed.result()
    assert [future.result() for future in others] == actions(store) == ([] if alone else ["before", "after"])
    assert list(store.custody.withdrawals.read()) == []


def test_nobody_is_told_anything_before_the_commit(store: Store) -> None:
    told: list[bool] = []
    done: list[Future] = []
    with gathering(store):
        done += [store.submit(note("a")), store.submit(failing("x")), store.submit(note("b"))]
        event.listen(store.engine, "commit", lambda _connection: told.extend(future.done() for future in done))
    assert done[0].result() == "a"
    assert told[-3:] == [False, False, False]


def test_a_transaction_that_is_lost_fails_everybody_in_it_and_nobody_after(store: Store) -> None:
    lost = "ROLLBACK" if store.engine.dialect.name == "sqlite" else "SELECT pg_terminate_backend(pg_backend_pid())"
    with gathering(store):
        done = [store.submit(work) for work in (note("a"), lambda connection: connection.exec_driver_sql(lost), note("b"))]
    for future in done:
        with pytest.raises(DBAPIError):
            future.result()
    store.submit(note("later")).result()
    assert actions(store) == ["later"]


def test_a_commit_that_fails_fails_everybody_in_it(store: Store) -> None:
    if store.engine.dialect.name != "sqlite":
        pytest.skip("our tables have no constraint that PostgreSQL checks at the commit")

    def dangling(connection) -> None:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        row = {"record_id": "none", "state": "active", "at": AT, "actor": "", "reason": ""}
        missing = {name: "" for name in ("channel",) if name in EVENTS.c}
        connection.execute(insert(EVENTS).values(**row, **missing))

    with gathering(store):
        done = [store.submit(work) for work in (note("a"), dangling, failing("x"))]
    for future in done:
        with pytest.raises(DBAPIError):
            future.result()
    assert actions(store) == []


def test_when_too_many_wait_the_next_is_told_to_come_again(bank) -> None:
    call = bank.caller("partner", "dala-market")
    with gathering(bank.store):
        with pytest.raises(TooManyWait):
            submit_for_ever(bank.store)
        refused = call("GET", "/aggregated-data/dala-market")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert refused.json()["error"]["code"] == "store_unavailable"
    assert call("GET", "/aggregated-data/dala-market").status_code == 200


def test_work_of_a_caller_who_went_away_is_not_begun(store: Store) -> None:
    with gathering(store):
        gone, there = store.submit(note("gone")), store.submit(note("there"))
        assert gone.cancel()
    assert there.result() == "there"
    with pytest.raises(CancelledError):
        gone.result()
    assert actions(store) == ["there"]


def test_closing_finishes_what_waits_and_takes_no_more(store: Store) -> None:
    with gathering(store):
        waiting = store.submit(note("a"))
        closing = threading.Thread(target=store.close)
        closing.start()
    closing.join()
    assert waiting.result() == "a"
    with pytest.raises(CommitterClosed):
        store.submit(note("b"))


_WRITER = """
from consent_api.store import open_store
from settings import settings
from tests.consent_api.test_group_commit import note
store = open_store(settings())
print("ready", flush=True)
input()
for future in [store.submit(note("a")) for _ in range(300)]:
    future.result()
for _ in range(30):
    store.submit(note("b")).result()
"""


def test_processes_that_write_at_once_keep_one_chain(store: Store, tmp_path) -> None:
    url = "" if store.engine.dialect.name == "sqlite" else store.engine.url.render_as_string(hide_password=False)
    environment = os.environ | {"OPORA_VAR": str(tmp_path), "OPORA_DATABASE_URL": url, "PYTHONPATH": str(PROJECT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER], env=environment, **pipes) for _ in range(2)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    store.submit(note("c")).result()
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    assert sorted(actions(store)) == ["a"] * 600 + ["b"] * 60 + ["c"]
