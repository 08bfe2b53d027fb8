"""The ledger's promises: it says what was in force when, and an edited, removed, swapped or cut-off row is named."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import DBAPIError

from database import open_database
from registry import ledger as ledger_module
from registry.aliases import versions_in_force
from registry.anchors import Anchor, anchors
from registry.ledger import Ledger, alias_at
from registry.ledger_table import LEDGER, MOVES, Entry, seal
from settings import Settings

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = [column.name for column in LEDGER.c if column.name != "sequence"]


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database of this test's own."""
    if request.param == "sqlite":
        engine = open_database(f"sqlite:///{tmp_path / 'registry.db'}")
        yield engine
        engine.dispose()
        return
    url = os.environ.get("OPORA_TEST_POSTGRES_URL")
    if not url:
        pytest.skip("no PostgreSQL: set OPORA_TEST_POSTGRES_URL to run this test on it")
    schema = f"registry_{uuid4().hex}"
    server = open_database(url)
    with server.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    engine = open_database(make_url(url).update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(False))
    yield engine
    engine.dispose()
    with server.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    server.dispose()


def entry(number: int, **fields: object) -> Entry:
    given = {"model": "income", "alias": "champion", "action": "promote", "previous_version": str(number - 1)}
    figures = {"challenger": 0.1 * number, "metric": "roc_auc"}
    return Entry(**{**given, "version": str(number), "reason": f"promoted: better, №{number}", "figures": figures, **fields})


def filled(engine: Engine, rows: int = 6) -> Ledger:
    ledger = Ledger(engine)
    for number in range(1, rows + 1):
        with ledger.writing() as connection:
            ledger.append(connection, entry(number))
    return ledger


def tamper(engine: Engine, *statements: str) -> None:
    """Change rows as somebody with the database's password could: without the guards."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE registry_ledger DISABLE TRIGGER ALL"))
        else:
            for action in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER IF EXISTS registry_ledger_no_{action}"))
        for statement in statements:
            connection.execute(text(statement))


def reseal(engine: Engine, sequence: int) -> None:
    """Give a row the hash that fits what it says now."""
    with engine.connect() as connection:
        row = connection.execute(LEDGER.select().where(LEDGER.c.sequence == sequence)).one()
    tamper(engine, f"UPDATE registry_ledger SET hash = '{seal(dict(row._mapping))}' WHERE sequence = {sequence}")


def head(ledger: Ledger) -> Anchor:
    with ledger.reading() as connection:
        row = ledger.head(connection)
    assert row is not None
    return Anchor("income", row.sequence, row.hash)


def test_what_was_written_is_read_back_whole(engine: Engine) -> None:
    ledger = filled(engine, 2)
    with ledger.reading() as connection:
        first, second = ledger.history(connection, "income")
    assert (first.sequence, first.version, first.reason) == (1, "1", "promoted: better, №1")
    assert second.figures == {"challenger": 0.2, "metric": "roc_auc"}
    assert second.previous_hash == first.hash
    assert second.at.utcoffset() == timedelta(0)
    assert ledger.verify([head(ledger)]).first_bad is None
    assert ledger.verify().rows == 2


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("row", [1, 4, 6])
def test_an_edited_row_is_named_whatever_was_edited(engine: Engine, column: str, row: int) -> None:
    ledger = filled(engine)
    value = "'2020-01-01 00:00:00+00:00'" if column == "at" else "'edited'"
    if column == "at" and engine.dialect.name == "sqlite":
        value = "'2020-01-01 00:00:00.000000'"
    tamper(engine, f"UPDATE registry_ledger SET {column} = {value} WHERE sequence = {row}")
    checked = ledger.verify()
    assert checked.first_bad == row
    assert "as it was written" in checked.problem


@pytest.mark.parametrize("row", [1, 4, 5])
def test_a_row_that_was_edited_and_sealed_anew_is_named(engine: Engine, row: int) -> None:
    ledger = filled(engine)
    tamper(engine, f"UPDATE registry_ledger SET version = '99' WHERE sequence = {row}")
    reseal(engine, row)
    assert ledger.verify().first_bad == row


def test_a_newest_row_that_was_edited_and_sealed_anew_differs_from_what_is_noted_in_mlflow(engine: Engine) -> None:
    ledger = filled(engine)
    noted = head(ledger)
    tamper(engine, "UPDATE registry_ledger SET version = '99' WHERE sequence = 6")
    reseal(engine, 6)
    assert ledger.verify().first_bad is None  # the chain itself cannot know
    checked = ledger.verify([noted])
    assert checked.first_bad == 6
    assert "MLflow" in checked.problem


@pytest.mark.parametrize("row", [1, 3])
def test_a_removed_row_is_named(engine: Engine, row: int) -> None:
    ledger = filled(engine)
    tamper(engine, f"DELETE FROM registry_ledger WHERE sequence = {row}")
    checked = ledger.verify()
    assert (checked.first_bad, checked.problem) == (row, "is missing")


def test_rows_cut_off_at_the_end_are_named_by_what_is_noted_in_mlflow(engine: Engine) -> None:
    ledger = filled(engine)
    noted = head(ledger)
    tamper(engine, "DELETE FROM registry_ledger WHERE sequence > 4")
    assert ledger.verify([noted]).first_bad == 5
    tamper(engine, "DELETE FROM registry_ledger")
    assert ledger.verify([noted]).first_bad == 1


def test_swapped_rows_are_named(engine: Engine) -> None:
    ledger = filled(engine)
    steps = [(3, 100), (4, 3), (100, 4)]
    tamper(engine, *(f"UPDATE registry_ledger SET sequence = {new} WHERE sequence = {old}" for old, new in steps))
    assert ledger.verify().first_bad == 3


@pytest.mark.parametrize("statement", ["UPDATE registry_ledger SET reason = 'other'", "DELETE FROM registry_ledger"])
def test_the_database_itself_refuses_to_change_or_delete_rows(engine: Engine, statement: str) -> None:
    ledger = filled(engine, 2)
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text(statement))
    assert ledger.verify() == ledger_module.Verification(2)


def test_an_error_inside_a_writing_transaction_leaves_nothing_behind(engine: Engine) -> None:
    ledger = filled(engine, 1)

    def fail() -> None:
        with ledger.writing() as connection:
            ledger.append(connection, entry(2))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert ledger.verify().rows == 1


def test_many_writers_give_one_chain(engine: Engine) -> None:
    ledger = Ledger(engine)

    def write() -> None:
        for number in range(10):
            with ledger.writing() as connection:
                ledger.append(connection, entry(number))

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.verify([head(ledger)]) == ledger_module.Verification(60)


ENTRIES = st.lists(
    st.tuples(
        st.sampled_from(["income", "fraud"]),
        st.sampled_from(["champion", "challenger"]),
        st.sampled_from(["nominate", "dismiss", "promote", "refuse", "rollback", "adopt", "delete"]),
        st.none() | st.integers(1, 5).map(str),
        st.integers(-2, 5),  # seconds since the row before: clocks are set back at times
    ),
    max_size=20,
)


@settings(deadline=None)
@given(ENTRIES, st.lists(st.integers(-5, 60), min_size=1, max_size=10))
def test_alias_at_equals_a_naive_replay(rows: list[tuple], moments: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = Settings(var=Path(folder))
        ledger, clock, written = ledger_module.open_ledger(config), BEGUN, []
        for model, alias, action, version, seconds in rows:
            clock += timedelta(seconds=seconds)
            written.append((clock, model, alias, action, version))
            with patch.object(ledger_module, "now", lambda at=clock: at), ledger.writing() as connection:
                ledger.append(connection, Entry(model, alias, action, None, version, ""))
        for moment in (BEGUN + timedelta(seconds=seconds) for seconds in moments):
            carried: dict[tuple[str, str], str | None] = {}
            for at, model, alias, action, version in written:
                if at <= moment and action in MOVES:
                    carried[model, alias] = version
            for model in ("income", "fraud"):
                for alias in ("champion", "challenger"):
                    assert alias_at(model, moment, alias, config) == carried.get((model, alias))
        assert ledger.verify().rows == len(rows)


def test_a_time_without_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        alias_at("income", datetime(2026, 1, 1), config=Settings(var=tmp_path))  # noqa: DTZ001 - the naive time is the point


@pytest.mark.parametrize(
    ("history", "stack"),
    [
        ("p1 p2 p3", "123"),
        ("p1 p2 p3 r2", "12"),
        ("p1 p2 p3 r2 r1", "1"),
        ("p1 p2 p3 r1 p4", "14"),
        ("p1 p2 r1 r2", "12"),
        ("p1 p1 p2", "12"),
        ("p1 p2 a- p3", "123"),
        ("a4 p5", "45"),
    ],
)
def test_rollbacks_in_a_row_go_further_and_further_back(tmp_path: Path, history: str, stack: str) -> None:
    ledger = ledger_module.open_ledger(Settings(var=tmp_path))
    words = {"p": "promote", "r": "rollback", "a": "adopt"}
    with ledger.writing() as connection:
        for step in history.split():
            version = None if step[1] == "-" else step[1]
            ledger.append(connection, Entry("income", "champion", words[step[0]], None, version, ""))
        assert versions_in_force(ledger, connection, "income") == list(stack)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["ledger", *arguments])
    return ledger_module.main()


def test_the_command_names_the_edited_row(
    registry: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = open_database(registry.database("registry"))
    filled(engine, 3)
    assert run(monkeypatch, "verify") == 0
    assert "3 rows" in capsys.readouterr().out
    assert run(monkeypatch, "show", "income") == 0
    assert "1 -> 2" in capsys.readouterr().out
    assert run(monkeypatch, "show", "nothing") == 1
    tamper(engine, "UPDATE registry_ledger SET version = '9' WHERE sequence = 2")
    assert run(monkeypatch, "verify") == 1
    assert "row 2 (promote income version 9)" in capsys.readouterr().err
    assert list(anchors(registry)) == []
