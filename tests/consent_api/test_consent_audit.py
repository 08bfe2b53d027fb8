"""Promises of the audit log: one chained row for everything, and verification names the row that was touched."""

from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from chain import Verification, seal
from consent_api import audit
from consent_api.audit import SEALED, Actor, Entry
from consent_api.custody import anchors
from consent_api.store import Store, open_store
from consent_api.tables import APPEND_ONLY, AUDIT, RECORDS
from settings import Settings
from tests.consent_api.conftest import Command

AT = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def log(store: Store) -> Store:
    for number in range(4):
        append(store, number)
    return store


def append(store: Store, number: int) -> None:
    with store.writing() as connection:
        entries = [Entry("a", f"é{number}"), Entry("b", "x", {"n": 1.5})]
        audit.append(connection, Actor("test", "staff", str(number)), AT, entries)


def unguard(store: Store) -> None:
    """What somebody with the rights of the database's owner could do."""
    with store.writing() as connection:
        for action in ("update", "delete"):
            on = " ON consent_audit" if connection.dialect.name == "postgresql" else ""
            connection.execute(text(f"DROP TRIGGER consent_audit_no_{action}{on}"))


def first_bad(store: Store) -> int | None:
    return anchors.verified(store).first_bad


def rows(store: Store) -> list[dict]:
    with store.reading() as connection:
        return [dict(row._mapping) for row in connection.execute(select(AUDIT).order_by(AUDIT.c.sequence))]


def write_anew(store: Store, wanted: list[dict]) -> None:
    """Replace the whole log by rows that are chained as they should be."""
    previous = "0" * 64
    for number, row in enumerate(wanted, 1):
        row |= {"sequence": number, "previous_hash": previous}
        previous = row["hash"] = seal([row[name] for name in SEALED])
    with store.writing() as connection:
        connection.execute(delete(AUDIT))
        if wanted:
            connection.execute(insert(AUDIT), wanted)


def test_p12_an_untouched_log_is_whole(log: Store) -> None:
    anchors.note_head(log)
    append(log, 9)
    assert anchors.verified(log) == Verification(10)


def test_p12_a_changed_row_is_named(log: Store) -> None:
    unguard(log)
    for column, value in (("detail", "{}"), ("object", "y"), ("actor", "z"), ("at", datetime(2020, 1, 1, tzinfo=UTC))):
        with log.writing() as connection:
            before = connection.scalar(select(AUDIT.c[column]).where(AUDIT.c.sequence == 6))
            connection.execute(update(AUDIT).where(AUDIT.c.sequence == 6).values({column: value}))
        assert first_bad(log) == 6, column
        with log.writing() as connection:
            connection.execute(update(AUDIT).where(AUDIT.c.sequence == 6).values({column: before}))
        assert first_bad(log) is None


@pytest.mark.parametrize("sequence", [1, 3])
def test_p12_a_removed_row_is_named(log: Store, sequence: int) -> None:
    unguard(log)
    with log.writing() as connection:
        connection.execute(delete(AUDIT).where(AUDIT.c.sequence == sequence))
    assert first_bad(log) == sequence


def test_p12_two_swapped_rows_are_named(log: Store) -> None:
    unguard(log)
    with log.writing() as connection:
        for now, then in ((3, 103), (4, 3), (103, 4)):
            connection.execute(update(AUDIT).where(AUDIT.c.sequence == now).values(sequence=then))
    assert first_bad(log) == 3


def test_p12_a_forged_row_is_named(log: Store) -> None:
    with log.writing() as connection:
        row = dict(connection.execute(select(AUDIT).where(AUDIT.c.sequence == 8)).one()._mapping)
        connection.execute(insert(AUDIT).values({**row, "sequence": 9}))
    assert first_bad(log) == 9


def test_p12_a_row_that_was_changed_and_sealed_anew_is_named(log: Store) -> None:
    unguard(log)
    row = rows(log)[5] | {"detail": "{}"}
    with log.writing() as connection:
        new = {"detail": "{}", "hash": seal([row[name] for name in SEALED])}
        connection.execute(update(AUDIT).where(AUDIT.c.sequence == 6).values(new))
    assert first_bad(log) == 6


def test_p12_rows_cut_off_at_the_end_are_named_by_the_anchor(log: Store) -> None:
    anchors.note_head(log)
    unguard(log)
    with log.writing() as connection:
        connection.execute(delete(AUDIT).where(AUDIT.c.sequence > 5))
    with log.reading() as connection:
        assert audit.verify(connection).first_bad is None  # the chain itself cannot know
    found = anchors.verified(log)
    assert (found.first_bad, found.rows) == (6, 5)
    assert "outside the database" in found.problem
    anchors.note_head(log)  # the shorter log is not noted over the longer one
    assert first_bad(log) == 6


def test_p12_a_log_written_anew_differs_from_the_anchor(log: Store) -> None:
    anchors.note_head(log)
    unguard(log)
    forged = rows(log)
    write_anew(log, [*forged[:2], {**forged[2], "actor": "nobody"}, *forged[3:]])
    with log.reading() as connection:
        assert audit.verify(connection).first_bad is None
    assert first_bad(log) == 8
    write_anew(log, [])
    assert first_bad(log) == 1


def test_the_head_in_a_transaction_includes_what_it_has_appended(log: Store) -> None:
    with log.writing() as connection:
        audit.append(connection, Actor("test", "staff"), AT, [Entry("c", "z")])
        head = audit.head(connection)
    assert (head.sequence, head.hash) == (9, rows(log)[-1]["hash"])


def test_history_cannot_be_changed_or_deleted(log: Store) -> None:
    """Ours is the only code that writes here, and a mistake in it would be refused."""
    for change in (update(AUDIT).values(detail="{}"), delete(AUDIT)):
        with pytest.raises(DBAPIError, match="append-only"), log.writing() as connection:
            connection.execute(change)


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)  # SQLite has no TRUNCATE
def test_no_table_of_history_can_be_emptied_at_one_stroke(store: Store) -> None:
    for table in APPEND_ONLY:
        with pytest.raises(DBAPIError, match="append-only"), store.writing() as connection:
            connection.execute(text(f"TRUNCATE {table.name} CASCADE"))


def test_every_table_of_history_is_guarded(store: Store) -> None:
    actions = ("update", "delete") if store.engine.dialect.name == "sqlite" else ("update", "delete", "truncate")
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        if store.engine.dialect.name == "sqlite"
        else "SELECT tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
        "WHERE NOT tgisinternal AND relnamespace = current_schema()::regnamespace"
    )
    with store.reading() as connection:
        guards = {name for name in connection.scalars(text(query)) if "_no_" in name}  # others count ended credentials
    assert guards == {f"{table.name}_no_{action}" for table in APPEND_ONLY for action in actions}


def test_the_migrated_tables_are_the_declared_ones(store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    assert RECORDS.metadata.tables
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "consent_alembic_version"})
        assert compare_metadata(context, RECORDS.metadata) == []
    assert store.is_ready()


def test_an_auditor_finds_rows_by_client_without_any_row_holding_the_code(bank) -> None:
    wish = {"client_id": "7", "company": "dala-market", "data_types": ["category_spending"], "is_active": True}
    client = bank.caller("client", "7")
    assert client("POST", "/consent", json=wish).status_code == 200
    assert client("GET", "/client/8/consents").status_code == 403
    assert client("DELETE", "/consent/8_dala-market").status_code == 403
    ask = bank.caller("auditor", "daniyar")
    found = ask("GET", "/audit", params={"client": "7"}).json()["rows"]
    assert [row["action"] for row in found] == ["key.issued", "consent.granted"]
    assert [row["action"] for row in ask("GET", "/audit", params={"client": "8"}).json()["rows"]] == ["request.refused"] * 2
    assert all(row["object"] == f"client/{bank.store.custody.pseudonym('7')}" for row in found)
    (granted,) = ask("GET", "/audit", params={"action": "consent.granted", "since": "2026-01-01T00:00:00Z"}).json()["rows"]
    assert granted["detail"]["company"] == "dala-market"
    assert ask("GET", "/audit", params={"before": "2026-01-01T00:00:00Z"}).json()["rows"] == []
    assert ask("GET", "/audit", params={"actor": granted["actor"], "object": granted["object"]}).json()["rows"]


def test_the_log_is_paged_exported_and_verified_for_auditors_only(bank) -> None:
    ask = bank.caller("auditor", "daniyar")
    for _ in range(12):
        assert ask("GET", "/audit", params={"limit": 1}).status_code == 200
    seen, after = [], None
    while after is not None or not seen:
        page = ask("GET", "/audit", params={"limit": 5, "action": "audit.read"} | ({"after": after} if after else {})).json()
        seen += [row["sequence"] for row in page["rows"]]
        after = page["next"] if len(seen) < 12 else None
    assert seen == sorted(set(seen))
    assert len(seen) >= 12
    lines = [orjson.loads(line) for line in ask("GET", "/audit/export").content.splitlines()]
    assert [line["sequence"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[-1]["action"] == "audit.exported"
    csv = ask("GET", "/audit/export", params={"format": "csv", "action": "key.issued"})
    assert csv.headers["content-type"] == "text/csv; charset=utf-8"
    assert len(csv.text.splitlines()) == 2
    assert ask("GET", "/audit/verify").json() == {"intact": True, "rows": len(lines) + 1, "first_bad": None, "problem": ""}
    for role, subject in (("client", "7"), ("partner", "dala-market"), ("staff", "aigerim")):
        for path in ("/audit", "/audit/verify", "/audit/export"):
            assert bank.caller(role, subject)("GET", path).status_code == 403
    assert ask("GET", "/audit", params={"clinet": "7"}).status_code == 422


def test_the_command_verifies_and_exports(tmp_path: Path, process: Command, command: Command) -> None:
    config = Settings(var=tmp_path)
    store = open_store(config)
    append(store, 1)
    anchors.note_head(store)
    for run in (process, command):
        assert run("consent_api.audit", "verify").stdout == "audit: 2 rows, each as it was written\n"
    assert len(command("consent_api.audit", "export", "--format", "csv").stdout.splitlines()) == 3
    unguard(store)
    with store.writing() as connection:
        connection.execute(delete(AUDIT).where(AUDIT.c.sequence == 2))
    broken = command("consent_api.audit", "verify")
    assert (broken.returncode, "row 2" in broken.stderr) == (1, True)
    store.close()
