"""Promises of the list of clients: complete, filtered, paged, all from one version, renewed by one of many workers."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from bentos.income.clients import IncomeClients
from bentos.income.prediction import IncomePredictor
from bentos.income.rounds import Rounds
from bentos.income.service import income_app
from bentos.serving.application import guarded
from bentos.serving.backend import Backend
from clock import now
from database import open_database
from features.online import OnlineStore
from settings import Settings

CLIENTS = 1100
AS_OF = pd.Timestamp(2026, 1, 1)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    borders = tuple(float(np.exp(border)) for border in (12.6, 13.0, 13.4))  # the small model predicts about e^13
    return Settings(var=tmp_path_factory.mktemp("listed"), champion_poll_seconds=0.5, segment_borders=borders)


@pytest.fixture(scope="module")
def backend(
    config: Settings,
    promote_in: Callable[[Settings, str, int], str],
    feature_rows: Callable[[str, int, int], pd.DataFrame],
) -> Iterator[Backend]:
    promote_in(config, "income", 1)
    backend = Backend("income", config)
    backend.champion.look()
    backend.start()
    codes = [f"{number:05d}" for number in range(CLIENTS)]
    backend.online.write("income", feature_rows("income", CLIENTS, 7).assign(client_code=codes, as_of=AS_OF))
    backend.online.write("profile", pd.DataFrame({"client_code": codes[:1], "as_of": AS_OF, "name": ["Айгерим"]}))
    yield backend
    backend.stop()


@pytest.fixture(scope="module")
def clients(backend: Backend) -> IncomeClients:
    return IncomeClients(backend, IncomePredictor(backend))


@pytest.fixture(scope="module")
def http(backend: Backend, clients: IncomeClients) -> TestClient:
    app = guarded(income_app(backend, clients), backend.config)
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)


def every(http: TestClient, **filters: object) -> list[dict]:
    found: list[dict] = []
    while True:
        page = http.get("/api/clients", params={**filters, "limit": 500, "offset": len(found)}).json()
        found += page["items"]
        if len(found) >= page["total"]:
            assert len(found) == page["total"]
            return found


def test_the_list_has_every_client_once_as_the_champion_predicts_it(backend: Backend, http: TestClient) -> None:
    listed = every(http)
    assert [one["client_id"] for one in listed] == [f"{number:05d}" for number in range(CLIENTS)]
    page = http.get("/api/clients").json()
    assert set(page) == {"items", "total", "limit", "offset", "model_version", "as_of"}
    assert (len(page["items"]), page["total"]) == (50, CLIENTS)
    assert page["model_version"] == backend.champion.model().version
    assert page["as_of"] == "2026-01-01T00:00:00Z"
    assert (page["items"][0]["name"], page["items"][1]["name"]) == ("Айгерим", None)
    for one in listed[:3]:
        alone = http.post("/api/predictions", json={"client_id": one["client_id"]}).json()
        assert {name: alone[name] for name in set(one) - {"client_id", "name"}} == {
            name: one[name] for name in set(one) - {"client_id", "name"}
        }


def test_filters_let_through_exactly_what_they_say(http: TestClient, clients: IncomeClients) -> None:
    listed = every(http)
    incomes = sorted(one["income_pred"] for one in listed)
    least, most = incomes[300], incomes[800]
    inside = {one["client_id"] for one in listed if least <= one["income_pred"] <= most}
    assert {one["client_id"] for one in every(http, min_income=least, max_income=most)} == inside
    newest = clients.rounds.newest()
    assert newest is not None
    assert clients.rounds.page(newest, None, least, 1, 0)[1] == sum(income < least for income in incomes)
    segments = {one["segment_code"] for one in listed}
    assert len(segments) >= 3, "the borders of this test separate nothing"
    for segment in ("low", "middle", "high", "premium"):
        expected = {one["client_id"] for one in listed if one["segment_code"] == segment and one["income_pred"] >= least}
        assert {one["client_id"] for one in every(http, segment_code=segment, min_income=least)} == expected


def test_an_income_a_fraction_of_a_tiyn_above_the_limit_is_not_listed(http: TestClient) -> None:
    one = every(http)[0]
    for most, listed in ((one["income_pred"], True), (one["income_pred"] - 0.004, False)):
        found = every(http, min_income=one["income_pred"] - 0.005, max_income=most)
        assert (one["client_id"] in {client["client_id"] for client in found}) is listed


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"segment_code": "rich"}, "segment_code"),
        ({"min_income": "nan"}, "min_income"),
        ({"max_income": -1}, "max_income"),
        ({"limit": 0}, "limit"),
        ({"limit": 501}, "limit"),
        ({"offset": -1}, "offset"),
        ({"offset": 1e30}, "offset"),
    ],
)
def test_a_wrong_filter_is_refused_with_the_parameter_named(http: TestClient, wrong: dict, field: str) -> None:
    answer = http.get("/api/clients", params=wrong)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)


def test_a_new_champion_or_new_features_bring_a_new_list_and_the_old_one_is_forgotten(
    backend: Backend,
    clients: IncomeClients,
    http: TestClient,
    promote_in: Callable[[Settings, str, int], str],
    feature_rows: Callable[[str, int, int], pd.DataFrame],
) -> None:
    before = every(http)
    assert not clients.rounds.renew(backend.champion.model()), "nothing has changed"
    version = promote_in(backend.config, "income", 2)
    deadline = time.monotonic() + 30
    while backend.champion.model().version != version:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert http.get("/api/clients").json()["model_version"] != version
    clients.renew()
    after = http.get("/api/clients").json()
    assert (after["model_version"], after["total"]) == (version, CLIENTS)
    assert after["items"][0]["income_pred"] != before[0]["income_pred"]
    fewer = feature_rows("income", 10, 8).assign(client_code=[f"n{number}" for number in range(10)], as_of=AS_OF)
    backend.online.write("income", fewer)
    clients.renew()
    assert len(every(http)) == 10
    with open_database(backend.config.database("online")).connect() as connection:
        assert connection.execute(text("SELECT count(DISTINCT round_id) FROM income_round_rows")).scalar() == 1


def test_of_many_workers_one_computes_a_round(backend: Backend, tmp_path: Path) -> None:
    engine = open_database(backend.config.database("online"))
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM income_rounds"))
        connection.execute(text("DELETE FROM income_round_rows"))
    model = backend.champion.model()
    with ThreadPoolExecutor(4) as workers:
        done = list(workers.map(lambda _: Rounds(engine).renew(model), range(4)))
    assert sorted(done) == [False, False, False, True]


def test_a_round_that_its_worker_did_not_finish_is_not_listed_and_is_begun_again(backend: Backend, http: TestClient) -> None:
    engine = open_database(backend.config.database("online"))
    with engine.begin() as connection:
        connection.execute(text("UPDATE income_rounds SET finished_at = NULL"))
    answer = http.get("/api/clients")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "list_not_ready")
    assert "Retry-After" in answer.headers
    with engine.begin() as connection:
        connection.execute(text("UPDATE income_rounds SET started_at = '2026-01-01 00:00:00.000000', alive_at = NULL"))
    assert http.get("/api/clients").status_code == 200


def test_a_round_whose_worker_died_is_begun_again_a_minute_after_its_last_sign_of_life(backend: Backend) -> None:
    engine = open_database(backend.config.database("online"))
    rounds, model = Rounds(engine), backend.champion.model()

    def left_unfinished(begun: timedelta, alive: timedelta | None) -> None:
        moments = {"begun": moment_text(begun), "alive": alive and moment_text(alive)}
        with engine.begin() as connection:
            wanted = "UPDATE income_rounds SET finished_at = NULL, started_at = :begun, alive_at = :alive"
            connection.execute(text(wanted), moments)

    rounds.renew(model)
    for begun, alive, again in (
        (timedelta(seconds=50), None, False),
        (timedelta(hours=1), timedelta(seconds=50), False),
        (timedelta(seconds=70), None, True),
        (timedelta(hours=1), timedelta(seconds=70), True),
    ):
        left_unfinished(begun, alive)
        assert rounds.renew(model) is again
    assert rounds.newest() is not None


def moment_text(ago: timedelta) -> str:
    return f"{now() - ago:%Y-%m-%d %H:%M:%S.%f}"


def test_a_worker_that_slept_through_its_round_adds_nothing_to_it(
    backend: Backend, clients: IncomeClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_database(backend.config.database("online"))
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM income_rounds"))
        connection.execute(text("DELETE FROM income_round_rows"))
    sleeper, other, model = Rounds(engine), Rounds(engine), backend.champion.model()
    pages = sleeper._feature_rows

    def sleep_before_the_first() -> Iterator[tuple[list[str], pd.DataFrame]]:
        for page in pages():
            with engine.begin() as connection:
                connection.execute(text(f"UPDATE income_rounds SET started_at = '{moment_text(timedelta(hours=1))}'"))
            assert other.renew(model)
            yield page

    monkeypatch.setattr(sleeper, "_feature_rows", sleep_before_the_first)
    assert not sleeper.renew(model)
    newest = other.newest()
    assert newest is not None
    assert other.page(newest, 0.0, None, 1, 0)[1] == newest.clients


def test_the_list_is_there_on_either_database(
    backend: Backend, database_url: str, feature_rows: Callable[[str, int, int], pd.DataFrame]
) -> None:
    other = Backend("income", backend.config.model_copy(update={"database_url": database_url}))
    other.champion, other.online = backend.champion, OnlineStore(open_database(database_url))
    rows = feature_rows("income", 5, 1).assign(client_code=list("абвгд"), as_of=AS_OF)
    other.online.write("income", rows)
    app = guarded(income_app(other, IncomeClients(other, IncomePredictor(other))), other.config)
    with TestClient(app, base_url="http://127.0.0.1") as http:
        listed = every(http)
        assert [one["client_id"] for one in listed] == list("абвгд")
        largest = max(one["income_pred"] for one in listed)
        assert [one["income_pred"] for one in every(http, min_income=largest)] == [largest]


def test_features_written_again_for_the_same_moment_bring_a_new_list(
    backend: Backend, database_url: str, feature_rows: Callable[[str, int, int], pd.DataFrame]
) -> None:
    engine = open_database(database_url)
    online, model = OnlineStore(engine), backend.champion.model()
    rounds = Rounds(engine)
    listed = []
    for seed in (1, 2, 2):
        rows = feature_rows("income", 5, seed).assign(client_code=list("abcde"), as_of=AS_OF)
        online.write("income", rows)
        online.write("profile", pd.DataFrame({"client_code": list("abcde"), "as_of": AS_OF, "name": "Анна"}))
        assert rounds.renew(model)
        assert not rounds.renew(model)
        newest = rounds.newest()
        assert newest is not None
        listed.append([one.income for one in rounds.page(newest, None, None, 5, 0)[0]])
    assert listed[0] != listed[1] == listed[2]
    engine.dispose()
