"""Promises of deletion: everything goes in time, with evidence, and nothing of it can be read afterwards."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.exc import DBAPIError

from consent_api import audit, budget, consents, idempotency
from consent_api.audit import Actor
from consent_api.callers import token_uses
from consent_api.consents import Grant
from consent_api.forgetting import erasure
from consent_api.idempotency import Repeatable
from consent_api.retention import Policy, overdue, retain
from consent_api.store import Store
from consent_api.tables import ANSWERS, CHARGES, DELETIONS, EVENTS, KEYS, RECORDS, RELEASES, SCHEMA, TOKENS
from edge.errors import RequestRefused
from settings import Settings
from tests.consent_api.cohorts import cohort

ACTOR = Actor("test", "client")
START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
KIND = ("dala-market", "category_spending", "market_statistics")
POLICY = Policy.of(Settings())
DAYS = 10


def give(store: Store, clients: list[str], at: datetime) -> None:
    with store.writing() as connection:
        consents.grant(connection, [Grant(client, *KIND) for client in clients], ACTOR, at)


def answer(store: Store, client: str, key: str, at: datetime) -> None:
    with store.writing() as connection:
        idempotency.once(connection, Repeatable(f"client:{client}", client, key, b"{}"), lambda: f"to {client}".encode(), at)


def charge(store: Store, clients: list[str], at: datetime, release_id: str = "r") -> None:
    with store.writing() as connection:
        row = {"release_id": release_id, "client_code": "", "year": at.year, "rho_nano": 125_000_000}
        if connection.scalar(select(RELEASES.c.release_id).where(RELEASES.c.release_id == release_id)) is None:
            connection.execute(insert(RELEASES).values(**release(release_id, at)))
        connection.execute(insert(CHARGES), [{**row, "client_code": client} for client in clients])


def release(release_id: str, at: datetime) -> dict:
    about = {"company": "dala-market", "period": release_id, "begun_at": at, "year": at.year, "rho_nano": 125_000_000}
    return {
        name: value for name, value in {**about, "release_id": release_id, "data_type": KIND[1]}.items() if name in RELEASES.c
    }


def forget(store: Store, client: str, at: datetime) -> datetime:
    with store.writing() as connection:
        return erasure.request(connection, client, ACTOR, at, erasure.due(at, DAYS))


def spent(store: Store, client: str, year: int) -> int:
    with store.reading() as connection:
        return budget.client_spent(connection, client, year)


def count(store: Store, table) -> int:
    with store.reading() as connection:
        return connection.scalar(select(func.count()).select_from(table))


def test_p21_in_a_year_of_daily_runs_with_gaps_nothing_is_overdue(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job fails for six days every month; every deletion happens before its deadline all the same."""
    monkeypatch.setattr("consent_api.retention._rewrite", lambda _store: None)  # takes long, and is the next test's matter
    give(store, [f"C-{number}" for number in range(80)], START)
    for day in range(366 + 45):
        at = START + timedelta(days=day)
        answer(store, f"C-{day % 80}", f"key-{day}", at)
        if day % 30 == 0:
            charge(store, [f"C-{number}" for number in range(80)], at, f"release-{day}")
        if day % 3 == 0 and day // 3 < 60:
            forget(store, f"C-{day // 3}", at)
        if day % 30 in (6, 10, 14, 18, 22, 26, 29):
            retain(store, POLICY, at)
        assert set(overdue(store, POLICY, at).values()) == {0}, at
    with store.reading() as connection:
        late = connection.scalar(select(func.count()).select_from(DELETIONS).where(DELETIONS.c.at > DELETIONS.c.due_at))
        kinds = dict(
            connection.execute(select(DELETIONS.c.what, func.sum(DELETIONS.c.how_many)).group_by(DELETIONS.c.what)).all()
        )
        assert audit.verify(connection).first_bad is None
        assert connection.scalar(select(func.min(CHARGES.c.year))) == 2027
    assert late == 0
    assert kinds["consent_records"] == 60
    assert kinds["consent_answers"] > 300
    assert kinds["consent_charges"] >= 80 * 12


def test_p21_an_erased_client_is_in_no_row_and_no_byte(store: Store, tmp_path: Path) -> None:
    canary = "CANARY-7f3a"
    give(store, [canary, "C-2"], START)
    give(store, [canary], START + timedelta(hours=1))
    answer(store, canary, "key", START)
    charge(store, [canary, "C-2"], START)
    with store.writing() as connection:
        key = {"key_id": "0" * 16, "role": "client", "subject": canary, "digest": "", "issued_at": START}
        connection.execute(insert(KEYS).values(**key))
    assert forget(store, canary, START) == datetime(2026, 1, 19, 9, 0, tzinfo=UTC)
    assert forget(store, canary, START + timedelta(days=1)) == datetime(2026, 1, 19, 9, 0, tzinfo=UTC)
    analysed(store)
    assert rows_with(store, canary)
    assert len(files_with(store, tmp_path, canary)) >= (5 if store.engine.dialect.name == "postgresql" else 1)
    retain(store, POLICY, START + timedelta(days=2))
    assert rows_with(store, canary) == {}
    for days in (3, 4):  # what somebody could still see during a run, as the database's own housekeeping does, goes with the next
        retain(store, POLICY, START + timedelta(days=days))
    assert files_with(store, tmp_path, canary) == []
    assert rows_with(store, "C-2")
    with store.reading() as connection:
        assert audit.verify(connection).first_bad is None
        evidence = connection.execute(select(DELETIONS.c.what, DELETIONS.c.how_many, DELETIONS.c.reason)).all()
    assert {(what, how_many) for what, how_many, _ in evidence} == {
        ("consent_events", 4),
        ("consent_records", 2),
        ("consent_answers", 1),
        ("consent_charges", 1),
    }


def test_p21_what_staff_were_answered_about_an_erased_client_goes_too(bank) -> None:
    body = {"client_id": "17", "company": KIND[0], "data_types": [KIND[1]]}
    call = bank.caller("staff", "aigerim")
    assert call("POST", "/consent-requests", json=body, headers={"Idempotency-Key": "k"}).status_code == 201
    assert "consent_answers" in rows_with(bank.store, "17_dala-market")
    assert call("POST", "/client/17/erasure").status_code == 202
    retain(bank.store, POLICY, bank.clock() + timedelta(days=1))
    assert rows_with(bank.store, "17_dala-market") == {}


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_p21_the_planner_keeps_no_samples_of_clients_who_are_gone_from_a_table_that_is_empty(store: Store) -> None:
    """PostgreSQL draws no new samples of a table without rows, and so would keep the old ones for ever."""
    clients = [f"CANARY-{number}" for number in range(20)]
    give(store, clients, START)
    charge(store, clients, START)
    for number, client in enumerate(clients):
        answer(store, client, f"of {client}", START)
        key = {"key_id": f"{number:016}", "role": "client", "subject": client, "digest": "", "issued_at": START}
        with store.writing() as connection:
            connection.execute(insert(KEYS).values(**key))
        forget(store, client, START)
    analysed(store)
    retain(store, POLICY, START + timedelta(days=1))
    assert rows_with(store, "CANARY") == {}
    analysed(store)
    assert sampled(store, "CANARY") == []


_SAMPLED = text(
    "SELECT tablename || '.' || attname "
    "FROM pg_stats, LATERAL (SELECT concat(most_common_vals, histogram_bounds) AS samples) AS drawn "
    "WHERE schemaname = current_schema AND (position(:sought IN samples) > 0 OR position(:hexadecimal IN samples) > 0)"
)


def sampled(store: Store, sought: str) -> list[str]:
    """The columns of which PostgreSQL's planner keeps a value with this text in it."""
    with store.engine.connect() as connection:
        return sorted(connection.scalars(_SAMPLED, {"sought": sought, "hexadecimal": sought.encode().hex()}))


def rows_with(store: Store, sought: str) -> dict[str, int]:
    """How many rows of which table hold a text in any column."""
    with store.reading() as connection:
        rows = {table.name: [str(tuple(row)) for row in connection.execute(select(table))] for table in SCHEMA.sorted_tables}
    found = {name: sum(sought in row for row in each) for name, each in rows.items()}
    return {name: number for name, number in found.items() if number}


def analysed(store: Store) -> None:
    """PostgreSQL has drawn its samples of the columns, as it does by itself after a while."""
    if store.engine.dialect.name == "postgresql":
        with store.engine.begin() as connection:
            connection.execute(text("ANALYZE"))


_HOLDING = text(
    "SELECT path || ' of ' || coalesce(pg_filenode_relation(0, substring(name FROM '^[0-9]+')::oid)::text, 'nothing') "
    "FROM (SELECT 'base/' || oid || '/' AS folder FROM pg_database WHERE datname = current_database()) AS ours, "
    "pg_ls_dir(folder) AS name, LATERAL (SELECT folder || name AS path) AS named "
    "WHERE position(:sought IN pg_read_binary_file(path)) > 0"
)


def files_with(store: Store, folder: Path, sought: str) -> list[str]:
    """Where these bytes are: in any file of the service, and on PostgreSQL in any file of the database, catalogs and all."""
    found = [str(path) for path in folder.rglob("*") if path.is_file() and sought.encode() in path.read_bytes()]
    if store.engine.dialect.name == "postgresql":
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("CHECKPOINT"))
            found += connection.scalars(_HOLDING, {"sought": sought.encode()})
    return found


def test_tokens_that_nobody_would_accept_any_more_are_forgotten(store: Store) -> None:
    with store.writing() as connection:
        for number in range(3):
            token_uses.spend(connection, f"token-{number}", START + timedelta(minutes=5 + 60 * number), START)
    assert retain(store, POLICY, START + timedelta(minutes=66))["tokens"] == 1
    assert count(store, TOKENS) == 2
    with pytest.raises(RequestRefused), store.writing() as connection:
        token_uses.spend(connection, "token-1", START + timedelta(minutes=65), START + timedelta(minutes=66))


def test_erasure_resets_no_budget(store: Store) -> None:
    give(store, ["C-1"], START)
    charge(store, ["C-1"], START)
    forget(store, "C-1", START)
    retain(store, POLICY, START + timedelta(days=1))
    assert spent(store, "C-1", 2026) == 0
    give(store, ["C-1"], START + timedelta(days=30))
    assert spent(store, "C-1", 2026) == 125_000_000


def test_deadlines_count_working_days() -> None:
    friday = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)
    assert erasure.due(friday, 10) == datetime(2026, 12, 4, 18, 30, tzinfo=UTC)
    assert erasure.due(friday + timedelta(days=1), 1) == datetime(2026, 11, 23, 18, 30, tzinfo=UTC)


def test_nothing_is_deleted_outside_a_recorded_deletion(store: Store) -> None:
    give(store, ["C-1"], START)
    for table in (RECORDS, EVENTS):
        with pytest.raises(DBAPIError, match="append-only"), store.writing() as connection:
            connection.execute(delete(table))
    forget(store, "C-1", START)
    retain(store, POLICY, START)
    give(store, ["C-1"], START)
    with pytest.raises(DBAPIError, match="append-only"), store.writing() as connection:
        connection.execute(delete(EVENTS))


def test_ended_consents_are_kept_as_evidence_and_then_go_with_their_whole_history(store: Store) -> None:
    give(store, ["C-1", "C-2"], START)
    with store.writing() as connection:
        consents.revoke(connection, "C-1", KIND[0], ACTOR, START + timedelta(days=1))
    for year in (1, 2, 3):
        give(store, ["C-2"], START + timedelta(days=350 * year))
    retain(store, POLICY, START + timedelta(days=1095))
    assert count(store, RECORDS) == 5
    retain(store, POLICY, START + timedelta(days=1100))
    with store.reading() as connection:
        assert set(connection.scalars(select(RECORDS.c.client_code))) == {"C-2"}
    assert count(store, RECORDS) == 4
    retain(store, POLICY, START + timedelta(days=350 * 3 + 366 + 1099))
    assert (count(store, RECORDS), count(store, EVENTS)) == (0, 0)
    retain(store, POLICY, START + timedelta(days=350 * 3 + 366 + 1099 + 1100))
    assert count(store, DELETIONS) == 0


def test_many_rows_go_in_portions_each_with_its_evidence(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consent_api.retention._PORTION", 10)
    for number in range(25):
        answer(store, "C-1", f"key-{number:02}", START)
    assert retain(store, POLICY, START + timedelta(days=40))["answers"] == 25
    assert count(store, ANSWERS) == 0
    with store.reading() as connection:
        assert sorted(connection.scalars(select(DELETIONS.c.how_many))) == [5, 10, 10]


def test_charges_of_a_year_stay_until_shortly_before_their_deadline(store: Store) -> None:
    """In January clients still see where they were counted, and a clock that is a day ahead in December resets no budget."""
    give(store, ["C-1"], START)
    charge(store, ["C-1"], START)
    for day in (1, 23):
        retain(store, POLICY, datetime(2027, 1, day, 23, 59, 59, tzinfo=UTC))
        assert spent(store, "C-1", 2026) == 125_000_000
    retain(store, POLICY, datetime(2027, 1, 24, tzinfo=UTC))
    assert spent(store, "C-1", 2026) == 0


def test_a_client_who_comes_back_while_the_job_runs_keeps_the_new_consent(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    give(store, ["C-1"], START)
    forget(store, "C-1", START)
    writing, waiting = store.writing, ["C-1"]

    def come_back() -> object:
        if waiting:
            client = waiting.pop()
            with writing() as connection:
                erasure.carry_out_asked(connection, client, ACTOR, START)
                consents.grant(connection, [Grant(client, *KIND)], ACTOR, START)
        return writing()

    monkeypatch.setattr(store, "writing", come_back)
    retain(store, POLICY, START)
    with store.reading() as connection:
        assert cohort(connection, *KIND, START) == ["C-1"]
