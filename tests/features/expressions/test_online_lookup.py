"""Looking up several clients at once gives what looking each up gives, from any number of threads."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import orjson
import pandas as pd
import pytest
from sqlalchemy import Engine, text

from database import open_database
from features.online import OnlineStore
from features.online_numbers import OnlineNumbers

CODES = ["1", "Клиент 7", 'quo"ted', "back\\slash", "новая\nстрока", "'; DROP TABLE online_features; --", "[]"]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An empty online database of this test's own."""
    engine = open_database(database_url)
    yield engine
    engine.dispose()


def written(engine: Engine, first: float = 0.0) -> OnlineStore:
    store = OnlineStore(engine)
    values = {"x": [first + index / 3 for index in range(len(CODES))], "many": [10**15, None, 2, 3, -4, 5, 6], "gone": None}
    store.write("fraud", pd.DataFrame({"client_code": CODES, "as_of": pd.Timestamp(2026, 6, 1)} | values))
    return store


def values_of(found: OnlineNumbers) -> dict[str, dict[str, float | None]]:
    """By client and name, None = missing."""
    rows = np.where(np.isnan(found.values), None, found.values)
    return {code: dict(zip(found.names, rows[row], strict=True)) for code, row in found.clients.items()}


def each_alone(store: OnlineStore) -> dict[str, object]:
    return {code: row.values for code in CODES if (row := store.get("fraud", code)) is not None}


def as_before(engine: Engine, code: str, **values: float) -> None:
    """The row of a client as JSON, as all rows were kept once."""
    with engine.begin() as connection:
        change = text('UPDATE online_features SET "values" = :values WHERE client_code = :code')
        connection.execute(change, {"values": orjson.dumps(values).decode(), "code": code})


def test_several_clients_get_what_each_of_them_gets(engine: Engine) -> None:
    store = written(engine)
    found = values_of(store.numbers_of("fraud", [*CODES, "nobody"]))
    assert set(found) == set(CODES)
    assert found == each_alone(store)
    assert found["1"] == {"x": 0.0, "many": 1e15, "gone": None}


@pytest.mark.parametrize("older", [CODES[:1], CODES], ids=["some", "all"])
def test_rows_written_by_an_older_version_are_served_until_the_next_write(older: list[str], engine: Engine) -> None:
    store = written(engine)
    for code in older:
        as_before(engine, code, x=7.5, only_then=1.0)
    found = values_of(store.numbers_of("fraud", CODES))
    assert {code: {name: value for name, value in row.items() if value is not None} for code, row in found.items()} == {
        code: {name: value for name, value in row.items() if value is not None} for code, row in each_alone(store).items()
    }
    assert found["1"]["only_then"] == 1
    assert values_of(written(engine).numbers_of("fraud", ["1"])) == {"1": {"x": 0.0, "many": 1e15, "gone": None}}


def test_another_process_sees_rows_of_names_that_it_does_not_know_yet(engine: Engine) -> None:
    store = written(engine)
    assert each_alone(store)
    OnlineStore(engine).write("fraud", pd.DataFrame({"client_code": ["1"], "as_of": pd.Timestamp(2026, 6, 2), "new": [4]}))
    assert store.get("fraud", "1").values == {"new": 4.0}
    assert values_of(store.numbers_of("fraud", CODES)) == {"1": {"new": 4.0}}


def test_a_text_among_numbers_is_refused_without_being_quoted(engine: Engine) -> None:
    store = written(engine)
    with pytest.raises(TypeError, match="numbers") as refused:
        store.write("fraud", pd.DataFrame({"client_code": ["1"], "as_of": pd.Timestamp(2026, 6, 2), "x": ["Иванов"]}))
    assert "Иванов" not in str(refused.value)
    assert set(each_alone(store)) == set(CODES)


def test_nobody_asked_for_and_nobody_known_are_no_rows(engine: Engine) -> None:
    store = written(engine)
    for feature_set, codes in (("fraud", []), ("fraud", ["nobody"]), ("income", CODES)):
        found = store.numbers_of(feature_set, codes)
        assert (found.clients, len(found.values)) == ({}, 0)
    assert store.get("income", "1") is None


def test_a_look_up_after_a_write_sees_the_new_rows(engine: Engine) -> None:
    store = written(engine)
    assert store.get("fraud", "1").values["x"] == 0
    written(engine, 5.0)
    assert store.get("fraud", "1").values["x"] == 5
    assert values_of(store.numbers_of("fraud", ["1"]))["1"]["x"] == 5


def test_more_threads_than_pooled_connections_look_up_at_once(engine: Engine) -> None:
    store, threads = written(engine), 12 if engine.dialect.name == "postgresql" else 40
    together = threading.Barrier(threads)

    def look_up(_: int) -> object:
        together.wait()
        return store.get("fraud", "1").values["x"]

    with ThreadPoolExecutor(threads) as pool:
        assert list(pool.map(look_up, range(threads))) == [0] * threads
