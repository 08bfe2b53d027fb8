"""Promises of statements that the driver runs itself: the same results and the same errors as through SQLAlchemy."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import bindparam, insert, select
from sqlalchemy.exc import DBAPIError, OperationalError, PendingRollbackError

from consent_api.audit import SEALED
from consent_api.prepared import Prepared, execute
from consent_api.store import Store
from consent_api.tables import AUDIT

AT = datetime(2026, 11, 21, 17, 30, 0, 1, tzinfo=timezone(timedelta(hours=5)))
ROW = dict.fromkeys((*SEALED, "hash"), "x") | {"at": AT, "detail": '{"a":"100% от \'всех\':1 ?"}'}
APPEND = insert(AUDIT)
CHOSEN = (
    select(AUDIT.c.sequence, AUDIT.c.detail).where(AUDIT.c.at >= bindparam("since"), AUDIT.c.at <= bindparam("since")).limit(2)
)


def test_what_is_written_and_found_is_what_sqlalchemy_writes_and_finds(store: Store) -> None:
    with store.writing() as connection:
        Prepared(APPEND).run(connection, ROW | {"sequence": 1})
        connection.execute(APPEND, [ROW | {"sequence": 2}])
        prepared, plain = connection.execute(select(AUDIT).order_by(AUDIT.c.sequence)).all()
        assert prepared[1:] == plain[1:]
        assert prepared.at == AT.astimezone(UTC)
        chosen = Prepared(CHOSEN.order_by(AUDIT.c.sequence))
        for since, found in ((AT, [1, 2]), (AT + timedelta(microseconds=1), [])):
            assert [sequence for sequence, _ in chosen.rows(connection, {"since": since})] == found
        assert chosen.rows(connection, {"since": AT}) == connection.execute(CHOSEN, {"since": AT}).all()


def test_a_statement_that_fails_raises_as_through_sqlalchemy_and_keeps_no_parameters(store: Store) -> None:
    with pytest.raises(DBAPIError) as through_sqlalchemy, store.writing() as connection:
        connection.execute(APPEND, [ROW | {"sequence": 1, "hash": None}])
    with pytest.raises(DBAPIError) as prepared, store.writing() as connection:
        Prepared(APPEND).run(connection, ROW | {"sequence": 1, "hash": None})
    assert prepared.type is through_sqlalchemy.type
    assert str(prepared.value.orig) == str(through_sqlalchemy.value.orig)
    assert prepared.value.params is None
    with store.reading() as connection:
        assert connection.execute(select(AUDIT)).all() == []


def test_a_connection_that_is_lost_is_known_to_be_and_not_used_again(store: Store) -> None:
    if store.engine.dialect.name != "postgresql":
        pytest.skip("SQLite has no connection that could be lost")
    with store.engine.connect() as connection, connection.begin():
        with pytest.raises(OperationalError) as lost:
            execute(connection, "SELECT pg_terminate_backend(pg_backend_pid())")
        assert lost.value.connection_invalidated
        with pytest.raises(PendingRollbackError):
            execute(connection, "SELECT 1")
        connection.rollback()
    with store.writing() as connection:
        assert execute(connection, "SELECT 1").fetchall() == [(1,)]
