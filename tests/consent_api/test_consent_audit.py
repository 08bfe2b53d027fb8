"""Promises of the audit log: one chained row for everything, and verification names the row that was touched."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from consent_api import audit
from consent_api.audit import Actor, Entry
from consent_api.store import Store
from consent_api.tables import APPEND_ONLY, AUDIT, RECORDS

AT = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def log(store: Store) -> Store:
    for number in range(4):
        with store.writing() as connection:
            audit.append(
                connection, Actor("test", "staff", str(number)), AT, [Entry("a", f"é{number}"), Entry("b", "x", {"n": 1.5})]
            )
    return store


def unguard(store: Store) -> None:
    """What somebody with the rights of the database's owner could do."""
    with store.writing() as connection:
        for action in ("update", "delete"):
            on = " ON consent_audit" if connection.dialect.name == "postgresql" else ""
            connection.execute(text(f"DROP TRIGGER consent_audit_no_{action}{on}"))


def verified(store: Store) -> audit.Verification:
    with store.reading() as connection:
        return audit.verify(connection)


def test_p12_an_untouched_log_is_whole(log: Store) -> None:
    assert verified(log) == audit.Verification(8)


def test_p12_a_changed_row_is_named(log: Store) -> None:
    unguard(log)
    for column, value in (("detail", "{}"), ("object", "y"), ("actor", "z"), ("at", datetime(2020, 1, 1, tzinfo=UTC))):
        with log.writing() as connection:
            before = connection.scalar(select(AUDIT.c[column]).where(AUDIT.c.sequence == 6))
            connection.execute(update(AUDIT).where(AUDIT.c.sequence == 6).values({column: value}))
        assert verified(log).first_bad == 6, column
        with log.writing() as connection:
            connection.execute(update(AUDIT).where(AUDIT.c.sequence == 6).values({column: before}))
        assert verified(log).first_bad is None


def test_p12_a_removed_row_is_named(log: Store) -> None:
    unguard(log)
    with log.writing() as connection:
        connection.execute(delete(AUDIT).where(AUDIT.c.sequence == 3))
    assert verified(log).first_bad == 3


def test_p12_a_forged_row_is_named(log: Store) -> None:
    with log.writing() as connection:
        row = dict(connection.execute(select(AUDIT).where(AUDIT.c.sequence == 8)).one()._mapping)
        connection.execute(insert(AUDIT).values({**row, "sequence": 9}))
    assert verified(log).first_bad == 9


def test_history_cannot_be_changed_or_deleted(log: Store) -> None:
    """Ours is the only code that writes here, and a mistake in it would be refused."""
    for change in (update(AUDIT).values(detail="{}"), delete(AUDIT)):
        with pytest.raises(DBAPIError, match="append-only"), log.writing() as connection:
            connection.execute(change)


def test_every_table_of_history_is_guarded(store: Store) -> None:
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        if store.engine.dialect.name == "sqlite"
        else "SELECT tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
        "WHERE NOT tgisinternal AND relnamespace = current_schema()::regnamespace"
    )
    with store.reading() as connection:
        guards = set(connection.scalars(text(query)))
    assert guards == {f"{table.name}_no_{action}" for table in APPEND_ONLY for action in ("update", "delete")}


def test_the_migrated_tables_are_the_declared_ones(store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    assert RECORDS.metadata.tables
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "consent_alembic_version"})
        assert compare_metadata(context, RECORDS.metadata) == []
    assert store.is_ready()


def test_p12_a_row_that_was_changed_and_sealed_anew_no_longer_fits_the_next(log: Store) -> None:
    unguard(log)
    with log.writing() as connection:
        row = dict(connection.execute(select(AUDIT).where(AUDIT.c.sequence == 6)).one()._asdict(), detail="{}")
        connection.execute(update(AUDIT).where(AUDIT.c.sequence == 6).values(detail="{}", hash=audit._seal(row)))
    assert verified(log).first_bad == 7
