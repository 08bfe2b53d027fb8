"""Where recommendations and push texts lie: a run is in force all at once or not at all, on SQLite and PostgreSQL."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
from sqlalchemy import Engine

from bentos.recommendation.pages import OnlinePages
from bentos.recommendation.store import RecommendationStore, RunGone, Stored, StoredPush
from database import open_database
from features.last_month import LAST_MONTH
from features.online import OnlineStore


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An empty online database of this test's own."""
    engine = open_database(database_url)
    yield engine
    engine.dispose()


STORED = Stored("1", 1, "Ипотека", 5.0, 0.5, "{}", "s")


def test_a_run_shows_all_at_once_and_an_unfinished_one_never(engine: Engine) -> None:
    store = RecommendationStore(engine)
    assert store.current() is None
    first = store.begin("1")
    store.add(first, [STORED])
    assert store.current() is None
    store.complete(first)
    second = store.begin("2")
    store.add(second, [STORED, Stored("2", 1, "Ипотека", 5.0, 0.5, "{}", "t")])
    assert store.current().id == first
    assert len(store.recommendations(store.current().id)) == 1
    store.complete(second)
    assert (store.current().id, store.current().model_version) == (second, "2")
    assert len(store.recommendations(second)) == 2


def test_an_export_that_began_before_a_new_run_ends_with_the_old_texts_or_says_so(engine: Engine) -> None:
    store = RecommendationStore(engine)
    runs = [store.begin(str(number)) for number in range(3)]
    texts = [StoredPush(f"{number:05}", "Ипотека", "текст", "s") for number in range(2_500)]
    store.add_pushes(runs[0], texts)
    store.complete(runs[0])
    reading = store.pushes(runs[0])
    read = next(reading)
    store.complete(runs[1])
    read += next(reading)
    store.complete(runs[2])
    with pytest.raises(RunGone):
        next(reading)
    assert read == texts[:2_000]


def test_pages_hold_every_client_once_with_what_is_known_of_it(engine: Engine) -> None:
    online = OnlineStore(engine)
    codes = [f"{number:03}" for number in range(25)]
    moment = pd.Timestamp(2026, 1, 1)
    online.write("profile", pd.DataFrame({"client_code": codes, "as_of": moment, "name": [f"имя {code}" for code in codes]}))
    behaviour = {"client_code": [*codes[:10], "stranger"], "as_of": moment, "spent": range(11)}
    online.write("recommendation", pd.DataFrame(behaviour))
    online.write(LAST_MONTH, pd.DataFrame({"client_code": codes[5:], "as_of": moment, "month": "2025-12"}))
    pages = list(OnlinePages(engine, size=10))
    assert [len(page) for page in pages] == [10, 10, 5]
    clients = [client for page in pages for client in page]
    assert [client.client_code for client in clients] == codes
    assert [client.profile["name"] for client in clients] == [f"имя {code}" for code in codes]
    assert [client.behaviour for client in clients] == [{"spent": number} for number in range(10)] + [None] * 15
    assert [client.month is None for client in clients] == [True] * 5 + [False] * 20


def test_pages_show_the_rows_of_one_moment(engine: Engine) -> None:
    online = OnlineStore(engine)
    codes = [f"{number:04}" for number in range(3_000)]
    rows = pd.DataFrame({"client_code": codes, "as_of": pd.Timestamp(2026, 1, 1), "name": "прежнее"})
    online.write("profile", rows)
    reading = iter(OnlinePages(engine, size=100))
    seen = next(reading)
    online.write("profile", rows.assign(name="новое"))
    seen += [client for page in reading for client in page]
    assert {client.profile["name"] for client in seen} == {"прежнее"}
    assert len(seen) == len(codes)


def test_names_are_those_of_the_asked_clients(engine: Engine) -> None:
    online = OnlineStore(engine)
    rows = pd.DataFrame({"client_code": ["1", "2", "3"], "as_of": pd.Timestamp(2026, 1, 1), "name": ["Анна", None, "Ли"]})
    online.write("profile", rows)
    assert OnlinePages(engine).names(["1", "2", "nobody"]) == {"1": "Анна", "2": None}


def test_a_text_written_again_takes_the_place_of_the_one_before(engine: Engine) -> None:
    store = RecommendationStore(engine)
    run = store.begin("1")
    store.complete(run)
    store.add_pushes(run, [StoredPush("1", "Ипотека", "прежний", "s"), StoredPush("2", "Ипотека", "другой", "s")])
    store.add_pushes(run, [StoredPush("1", "Ипотека", "новый", "s")])
    assert [push.push_notification for page in store.pushes(run) for push in page] == ["новый", "другой"]


def test_writers_at_once_leave_one_text_for_each_client(engine: Engine) -> None:
    store = RecommendationStore(engine)
    run = store.begin("1")
    store.complete(run)
    texts = [StoredPush(f"{number:03}", "Ипотека", "текст", "s") for number in range(200)]
    with ThreadPoolExecutor(8) as writers:
        list(writers.map(lambda _: store.add_pushes(run, texts), range(24)))
    assert [push for page in store.pushes(run) for push in page] == texts


def test_texts_for_a_run_that_was_removed_are_refused_and_none_is_left(engine: Engine) -> None:
    store = RecommendationStore(engine)
    runs = [store.begin(str(number)) for number in range(3)]
    for run in runs:
        store.complete(run)
    with pytest.raises(RunGone):
        store.add_pushes(runs[0], [StoredPush("1", "Ипотека", "текст", "s")])
    assert store.statistics(runs[0])["pushes"] == 0


def test_statistics_count_by_product(engine: Engine) -> None:
    store = RecommendationStore(engine)
    assert store.statistics("none") == {"by_product": {}, "clients": 0, "mean_benefit": None, "pushes": 0}
    run = store.begin("1")
    other = Stored("1", 2, "Депозит Сберегательный", 10.0, 0.5, "{}", "t")
    store.add(run, [STORED, other, Stored("2", 1, "Ипотека", 6.0, 0.5, "{}", "u")])
    found = store.statistics(run)
    assert found == {"by_product": {"Ипотека": 2, "Депозит Сберегательный": 1}, "clients": 2, "mean_benefit": 7.0, "pushes": 0}
