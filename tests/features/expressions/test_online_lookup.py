"""Looking up several clients at once gives what looking each up gives, from any number of threads."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
from sqlalchemy import Engine

from database import open_database
from features.online import OnlineStore

CODES = ["1", "Клиент 7", 'quo"ted', "back\\slash", "новая\nстрока", "'; DROP TABLE online_features; --", "[]"]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An empty online database of this test's own."""
    engine = open_database(database_url)
    yield engine
    engine.dispose()


def written(engine: Engine, first: float = 0.0) -> OnlineStore:
    store = OnlineStore(engine)
    values = {"x": [first + index / 3 for index in range(len(CODES))], "names": [["a", "б"]] * len(CODES), "gone": None}
    store.write("fraud", pd.DataFrame({"client_code": CODES, "as_of": pd.Timestamp(2026, 6, 1)} | values))
    return store


def test_several_clients_get_what_each_of_them_gets(engine: Engine) -> None:
    store = written(engine)
    found = store.values_of("fraud", [*CODES, "nobody"])
    assert set(found) == set(CODES)
    for code in CODES:
        row = store.get("fraud", code)
        assert row is not None
        assert found[code] == row.values


def test_nobody_asked_for_and_nobody_known_are_no_rows(engine: Engine) -> None:
    store = written(engine)
    assert store.values_of("fraud", []) == {}
    assert store.values_of("fraud", ["nobody"]) == {}
    assert store.values_of("income", CODES) == {}
    assert store.get("income", "1") is None


def test_a_look_up_after_a_write_sees_the_new_rows(engine: Engine) -> None:
    store = written(engine)
    assert store.get("fraud", "1").values["x"] == 0
    written(engine, 5.0)
    assert store.get("fraud", "1").values["x"] == 5
    assert store.values_of("fraud", ["1"])["1"]["x"] == 5


def test_more_threads_than_pooled_connections_look_up_at_once(engine: Engine) -> None:
    store, threads = written(engine), 12 if engine.dialect.name == "postgresql" else 40
    together = threading.Barrier(threads)

    def look_up(_: int) -> object:
        together.wait()
        return store.get("fraud", "1").values["x"]

    with ThreadPoolExecutor(threads) as pool:
        assert list(pool.map(look_up, range(threads))) == [0] * threads
