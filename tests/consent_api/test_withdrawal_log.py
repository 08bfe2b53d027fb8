"""Promises of the log of withdrawals: a restored backup never brings back what a client has ended."""

import os
import resource
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from clock import now
from consent_api import consents, restore
from consent_api.app import open_service
from consent_api.audit import Actor
from consent_api.callers.credentials import Keyring
from consent_api.consents import Grant
from consent_api.custody.append_only import AppendOnlyFile
from consent_api.custody.withdrawals import NotLogged
from consent_api.forgetting import erasure
from consent_api.restore import BrokenLog
from consent_api.store import Store, open_store
from consent_api.tables import ERASURES
from settings import Settings
from tests.consent_api.cohorts import cohort

ACTOR = Actor("test", "client")
AT = datetime(2026, 11, 21, 12, 0, 0, 250000, tzinfo=UTC)
KIND = ("dala-market", "category_spending", "market_statistics")
CLIENTS = [f"C-{number}" for number in range(120)]
DAYS = 10


def give(store: Store, clients: list[str], at: datetime = AT, until: datetime | None = None) -> None:
    with store.writing() as connection:
        consents.grant(connection, [Grant(client, *KIND, until) for client in clients], ACTOR, at)


def withdraw(store: Store, clients: list[str], at: datetime) -> None:
    for client in clients:
        with store.writing() as connection:
            consents.revoke(connection, client, KIND[0], ACTOR, at)


def active(store: Store, at: datetime) -> list[str]:
    with store.reading() as connection:
        return cohort(connection, *KIND, at)


def later(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def replay(store: Store, at: datetime) -> restore.Replayed:
    return restore.replay(store, at, DAYS)


def test_p22_a_restored_backup_gets_every_withdrawal_back(store: Store, backup) -> None:
    give(store, CLIENTS)
    put_back = backup()
    withdraw(store, CLIENTS[:100], later(60))
    put_back()
    assert len(active(store, later(3600))) == 120  # that is what a restore does
    assert replay(store, later(3600)) == restore.Replayed(withdrawn=100, erasures=0, added_to_log=0)
    assert active(store, later(3600)) == sorted(CLIENTS[100:])
    assert replay(store, later(3601)).withdrawn == 0


def test_p22_the_withdrawal_of_a_renewal_that_the_backup_never_saw_ends_what_it_renewed(store: Store, backup) -> None:
    give(store, CLIENTS[:2])
    put_back = backup()
    give(store, CLIENTS[:1], later(10))
    withdraw(store, CLIENTS[:1], later(20))
    put_back()
    replay(store, later(30))
    assert active(store, later(30)) == CLIENTS[1:2]


def test_p22_a_consent_that_was_made_shorter_does_not_come_back_longer(store: Store, backup) -> None:
    give(store, CLIENTS[:1])
    put_back = backup()
    give(store, CLIENTS[:1], later(10), later(86400))
    put_back()
    replay(store, later(30))
    assert active(store, later(2 * 86400)) == []


def test_consent_given_again_after_a_withdrawal_stays_given(store: Store, backup) -> None:
    """Also in the same second, and also after a restore."""
    give(store, CLIENTS[:2])
    put_back = backup()
    withdraw(store, CLIENTS[:2], later(0.1))
    give(store, CLIENTS[:1], later(0.2))
    assert replay(store, later(1)).withdrawn == 0
    assert active(store, later(1)) == CLIENTS[:1]
    put_back()
    replay(store, later(5))
    give(store, CLIENTS[1:2], later(6))
    assert replay(store, later(7)).withdrawn == 0
    assert active(store, later(7)) == CLIENTS[1:2]


@pytest.fixture
def read_in_full(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A place that gets an entry whenever every consent there is was read to compare it with the log."""
    times, read = list[int](), restore._active
    monkeypatch.setattr(restore, "_active", lambda connection: times.append(1) or read(connection))
    return times


def test_p13_a_start_that_has_nothing_to_carry_out_does_not_read_every_consent(store: Store, read_in_full: list[int]) -> None:
    """A bank's hundred thousands of consents would keep partners waiting longer than the promise allows."""
    give(store, CLIENTS)
    withdraw(store, CLIENTS[:60], later(1))
    with store.writing() as connection:
        erasure.request(connection, CLIENTS[60], ACTOR, later(2), later(3))
        erasure.carry_out(connection, CLIENTS[60], later(3), ACTOR, later(3))
    assert replay(store, later(4)) == restore.Replayed(0, 0, 0)
    assert read_in_full == []


def test_p22_a_withdrawal_from_longer_ago_than_a_consent_lasts_needs_nothing_and_brings_nothing_back(
    store: Store, backup, read_in_full: list[int]
) -> None:
    give(store, CLIENTS[:2])
    put_back = backup()
    give(store, CLIENTS[:1], later(10))
    withdraw(store, CLIENTS[:1], later(20))
    put_back()
    year = 366 * 86400
    assert active(store, later(year)) == []
    assert replay(store, later(year + 2 * 86400)) == restore.Replayed(0, 0, 0)
    assert read_in_full == []


def test_p22_an_erasure_that_the_backup_had_not_seen_is_due_again(store: Store, backup) -> None:
    give(store, CLIENTS[:2])
    put_back = backup()
    with store.writing() as connection:
        erasure.request(connection, CLIENTS[0], ACTOR, later(5), erasure.due(later(5), DAYS))
    put_back()
    assert replay(store, later(10)).erasures == 1
    assert active(store, later(10)) == CLIENTS[1:2]
    with store.reading() as connection:
        assert connection.execute(select(ERASURES.c.client_code, ERASURES.c.due_at)).one() == (
            CLIENTS[0],
            erasure.due(later(5), DAYS),
        )


def in_force(ring: Keyring, keys: dict[str, str], at: datetime) -> set[str]:
    return {name for name, key in keys.items() if ring.recognise(key, at)}


def id_of(key: str) -> str:
    return key.split("-")[1]


def test_p29_a_restored_backup_brings_back_no_key_that_was_revoked_or_replaced(store: Store, backup) -> None:
    ring = Keyring(store, b"p" * 32)
    keys = {name: ring.issue("partner", "dala-market", AT, later(10 * 86400)) for name in ("kept", "revoked", "replaced", "both")}
    put_back = backup()
    for name in ("replaced", "both"):
        ring.rotate(id_of(keys[name]), later(1), later(3600), None)
    for name in ("revoked", "both"):
        ring.revoke(id_of(keys[name]), later(2))
    assert replay(store, later(3)) == restore.Replayed(0, 0, 0)
    put_back()
    assert in_force(ring, keys, later(3)) == set(keys)  # that is what a restore does
    assert replay(store, later(3)) == restore.Replayed(0, 0, 0, keys=3)
    assert in_force(ring, keys, later(3)) == {"kept", "replaced"}
    assert in_force(ring, keys, later(3600)) == {"kept"}
    assert replay(store, later(4)) == restore.Replayed(0, 0, 0)


def test_p29_keys_that_were_revoked_before_the_log_knew_of_keys_get_into_it(store: Store, backup) -> None:
    ring = Keyring(store, b"p" * 32)
    key = ring.issue("partner", "dala-market", AT)
    put_back = backup()
    ring.revoke(id_of(key), later(1))
    store.custody.withdrawals.path.unlink()
    assert replay(store, later(2)) == restore.Replayed(0, 0, added_to_log=1)
    put_back()
    assert replay(store, later(3)).keys == 1
    assert ring.recognise(key, later(3)) is None


def test_p29_a_key_that_cannot_be_logged_is_not_revoked_and_the_operator_is_told(store: Store, process) -> None:
    if store.engine.dialect.name != "sqlite":
        pytest.skip("the command opens the SQLite file of the test")
    key = Keyring(store, b"p" * 32).issue("partner", "dala-market", AT)
    path = store.custody.withdrawals.path
    path.mkdir(parents=True)
    ran = process("consent_api.auth", "revoke", id_of(key))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.splitlines() == [
        f"nothing has changed: {path} cannot be written (Is a directory): make room or mount its volume"
    ]
    path.rmdir()
    assert process("consent_api.auth", "revoke", id_of(key)).returncode == 0


def test_the_log_is_whole_before_the_withdrawal_is_acknowledged_and_names_nobody(store: Store) -> None:
    give(store, CLIENTS[:3])
    with store.writing() as connection:
        consents.revoke(connection, CLIENTS[0], KIND[0], ACTOR, later(1))
        assert list(store.custody.withdrawals.read()) == []  # nothing is withdrawn before the transaction is sure to be
    assert len(restore.read_log(store.custody)) == 1
    with store.engine.connect() as connection, connection.begin() as transaction:
        consents.revoke(connection, CLIENTS[1], KIND[0], ACTOR, later(1))
        transaction.rollback()
    with store.writing() as connection:
        with connection.begin_nested() as savepoint:
            consents.revoke(connection, CLIENTS[1], KIND[0], ACTOR, later(1))
            savepoint.rollback()
        consents.revoke(connection, CLIENTS[2], KIND[0], ACTOR, later(1))
    (first, second) = restore.read_log(store.custody)
    assert {first["client"], second["client"]} == {store.custody.pseudonym(CLIENTS[0]), store.custody.pseudonym(CLIENTS[2])}
    assert b"C-" not in store.custody.withdrawals.path.read_bytes()


def test_nothing_is_withdrawn_when_the_log_cannot_be_written(store: Store) -> None:
    """The client gets an error and tries again, instead of a promise that a restore would break."""
    give(store, CLIENTS[:1])
    path = store.custody.withdrawals.path
    path.unlink(missing_ok=True)
    path.mkdir(parents=True)
    with pytest.raises(NotLogged, match="Is a directory"):
        withdraw(store, CLIENTS[:1], later(1))
    assert active(store, later(2)) == CLIENTS[:1]


def test_a_log_that_was_touched_is_named_and_nothing_starts(store: Store, tmp_path: Path) -> None:
    give(store, CLIENTS[:3])
    withdraw(store, CLIENTS[:3], later(1))
    path = store.custody.withdrawals.path
    whole = path.read_bytes()
    first, second, third = whole.splitlines(keepends=True)
    for touched in (first + third, first + second.replace(b"dala", b"dela") + third, second + first + third):
        path.write_bytes(touched)
        with pytest.raises(BrokenLog, match="is not as it was written"):
            replay(store, later(2))
    path.write_bytes(whole)
    assert replay(store, later(2)) == restore.Replayed(0, 0, 0)


def test_a_line_cut_short_by_a_crash_is_left_out_and_the_log_goes_on(store: Store) -> None:
    give(store, CLIENTS[:2])
    withdraw(store, CLIENTS[:1], later(1))
    with store.custody.withdrawals.path.open("ab") as file:
        file.write(b'{"sequence":2,"kind":"with')
    withdraw(store, CLIENTS[1:2], later(2))
    assert [line["sequence"] for line in restore.read_log(store.custody)] == [1, 2]


def test_a_log_that_was_lost_is_made_again_from_the_database(store: Store) -> None:
    give(store, CLIENTS[:2])
    withdraw(store, CLIENTS[:1], later(1))
    store.custody.withdrawals.path.unlink()
    assert replay(store, later(2)).added_to_log == 1
    assert len(restore.read_log(store.custody)) == 1


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = AppendOnlyFile(tmp_path / "log")
    file.append(lambda newest: [{"n": 1}])
    before = file.path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            file.append(lambda newest: [{"n": number} for number in range(100)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.path.read_bytes() == before
    file.append(lambda newest: [{"n": newest["n"] + 1}])
    assert [line["n"] for line in file.read()] == [1, 2]


def test_p22_the_service_starts_only_on_a_database_that_knows_every_withdrawal(tmp_path: Path) -> None:
    """Files are restored as an operator would: the service is down, its database file is exchanged."""
    config = Settings(var=tmp_path / "var")
    store = open_store(config)
    give(store, CLIENTS[:10], now())
    store.engine.dispose()
    shutil.copy(config.var / "consent.db", tmp_path / "backup.db")
    withdraw(store, CLIENTS[:4], now())
    store.engine.dispose()
    shutil.copy(tmp_path / "backup.db", config.var / "consent.db")
    service = open_service(config)
    assert active(service.store, now()) == sorted(CLIENTS[4:10])
    service.store.engine.dispose()
    log = service.store.custody.withdrawals.path
    log.write_bytes(log.read_bytes().replace(b"dala-market", b"dela-market"))
    with pytest.raises(BrokenLog):
        open_service(config)
    command = [sys.executable, "-m", "consent_api.restore"]
    environment = {**os.environ, "OPORA_VAR": str(config.var), "OPORA_DATABASE_URL": ""}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, "line 1 of" in ran.stderr) == (1, True), ran.stderr
    log.write_bytes(log.read_bytes().replace(b"dela-market", b"dala-market"))
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, "carried out again: 0" in ran.stdout) == (0, True), ran.stderr
