"""What serving looks up for a client is what a batch computes for it: random clients of a simulated bank, value by value.

`OPORA_PARITY_CLIENTS=1000` asks for as many clients as the service promises, in a minute; without it a tenth of that.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

import ibis
import numpy as np
import pandas as pd
import pytest
from fastapi import FastAPI
from ibis.expr.types import Table
from starlette.testclient import TestClient

from bentos.fraud.service import BATCH, SCORE, fraud_app
from bentos.income.service import income_app
from bentos.recommendation.service import recommendation_app
from bentos.serving.application import guarded
from bentos.serving.backend import Backend
from database import open_database
from features.code_lists import PRODUCTS
from features.columns.payments import DESTINATION_COLUMNS
from features.current import newest_moment
from features.lake import open_lake
from features.online import OnlineStore
from features.online_rows import newest_rows
from features.sets import FEATURE_SETS
from features.tables import TABLES
from settings import Settings
from simulator import SimulationConfig, simulate

CLIENTS = int(os.environ.get("OPORA_PARITY_CLIENTS", "100"))
RAW = ("clients", "transactions", "transfers", "sessions", "payments", "fraud_labels", "product_uptake")
AMOUNT = 31_000.0
OF_DESTINATIONS = {column.name for column in DESTINATION_COLUMNS}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(var=tmp_path_factory.mktemp("parity"))


@pytest.fixture(scope="module")
def tables(config: Settings) -> dict[str, Table]:
    """Raw tables of a bank with a few more clients than are drawn, through ingestion as any bank's."""
    simulate(SimulationConfig(clients=CLIENTS + 200, months=4, seed=6), config.var / "raw")
    lake = open_lake(config)
    for name in RAW:
        for file in sorted((config.var / "raw" / name).iterdir()):
            lake.ingest(TABLES[name], file)
    return lake.tables()


@pytest.fixture(scope="module")
def moment(tables: dict[str, Table]) -> datetime:
    return newest_moment(tables)


@pytest.fixture(scope="module")
def drawn(tables: dict[str, Table], moment: datetime, config: Settings) -> list[str]:
    """Random clients of those that have a row of every set, after the newest rows went where serving looks."""
    store = OnlineStore(open_database(config.database("online")))
    known = []
    for name, rows in newest_rows(tables, moment).items():
        frame = rows.to_pandas()
        store.write(name, frame)
        known.append(set(frame.client_code))
    return np.random.default_rng(14).choice(sorted(set.intersection(*known)), CLIENTS, replace=False).tolist()


@pytest.fixture(scope="module")
def serving(
    config: Settings, drawn: list[str], promote_in: Callable[[Settings, str, int], str]
) -> Iterator[Callable[[str], Backend]]:
    """Opens the backend of a use case over these rows, with a champion that reads every column of the use case."""
    opened: list[Backend] = []

    def serve(use_case: str) -> Backend:
        promote_in(config, use_case, 1)
        backend = Backend(use_case, config)
        backend.champion.look()
        backend.start()
        opened.append(backend)
        return backend

    yield serve
    for backend in opened:
        backend.stop()


def computed(tables: Mapping[str, Table], use_case: str, spine: pd.DataFrame, moment: datetime) -> pd.DataFrame:
    """The batch expression over this spine alone: another set of clients than was published, so another order of every sum."""
    typed = spine.assign(as_of=pd.Series([moment] * len(spine)).astype("datetime64[us]"))
    return FEATURE_SETS[use_case].features(tables, ibis.memtable(typed)).to_pandas()


def journalled(backend: Backend) -> pd.DataFrame:
    """Client and features, as the model saw them, of every score of a service."""
    rows = backend.journal.window(backend.use_case, datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
    return rows[["client_id", *(name for name in rows if name.startswith("feature_"))]].rename(
        columns=lambda name: name.removeprefix("feature_").replace("client_id", "client_code")
    )


def written(frame: pd.DataFrame, use_case: str, key: list[str]) -> dict[str, bytes | list[object]]:
    """Each feature column in the order of `key`: numbers as the bytes of float64 (missing = one NaN), texts as they are."""
    ordered = frame.sort_values(key, ignore_index=True)
    columns: dict[str, bytes | list[object]] = {}
    for column in FEATURE_SETS[use_case].columns:
        values = ordered[column.name]
        if column.categorical:
            columns[column.name] = values.astype(object).where(values.notna(), None).tolist()
        else:
            numbers = values.to_numpy(np.float64, na_value=np.nan)
            columns[column.name] = np.where(np.isnan(numbers), np.nan, numbers).tobytes()
    return columns


def client_of(app: FastAPI, backend: Backend) -> TestClient:
    return TestClient(guarded(app, backend.config), base_url="http://127.0.0.1")


def test_income_of_a_client_is_predicted_from_the_row_that_a_batch_computes(
    serving: Callable[[str], Backend], drawn: list[str], tables: dict[str, Table], moment: datetime
) -> None:
    backend = serving("income")
    client = client_of(income_app(backend), backend)
    assert {client.post("/api/predictions", json={"client_id": code}).status_code for code in drawn} == {200}
    expected = computed(tables, "income", pd.DataFrame({"client_code": drawn}), moment)
    assert len(expected) == CLIENTS
    assert written(journalled(backend), "income", ["client_code"]) == written(expected, "income", ["client_code"])


def test_every_product_of_a_client_is_scored_on_the_row_that_a_batch_computes(
    serving: Callable[[str], Backend], drawn: list[str], tables: dict[str, Table], moment: datetime
) -> None:
    backend, key = serving("recommendation"), ["client_code", "product"]
    client = client_of(recommendation_app(backend), backend)
    assert {client.get(f"/recommendations/{code}").status_code for code in drawn} == {200}
    served = journalled(backend)
    assert served.client_code.nunique() > 0.9 * CLIENTS  # the others gain from nothing, or hold it
    spine = pd.DataFrame([(code, product) for code in drawn for product in PRODUCTS], columns=key)
    expected = computed(tables, "recommendation", spine, moment).merge(served[key], on=key)
    assert written(served, "recommendation", key) == written(expected, "recommendation", key)


def test_a_payment_of_a_client_is_judged_on_the_row_that_a_batch_computes(
    serving: Callable[[str], Backend],
    drawn: list[str],
    tables: dict[str, Table],
    moment: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bentos.fraud.scoring.now", lambda: moment.replace(tzinfo=UTC))  # hour and weekday are of this moment
    backend = serving("fraud")
    items = [{"client_id": code, "amount": AMOUNT} for code in drawn]
    client = client_of(fraud_app(backend), backend)
    answer = client.post(BATCH, json={"items": items[1:]})
    single = client.post(SCORE, json=items[0])
    assert (answer.status_code, single.status_code) == (200, 200)
    payments = pd.DataFrame({"transaction_id": drawn, "client_code": drawn, "amount": AMOUNT, "ts": moment})
    expected = computed(tables, "fraud", payments.assign(destination_id=pd.Series([None] * CLIENTS, dtype="str")), moment)
    served = written(journalled(backend), "fraud", ["client_code"])
    of_client = served.keys() - OF_DESTINATIONS
    whole = written(expected, "fraud", ["client_code"])
    assert {name: served[name] for name in of_client} == {name: whole[name] for name in of_client}
    unknown = np.full(CLIENTS, np.nan).tobytes()
    assert {name for name in OF_DESTINATIONS if served[name] != unknown} == set()  # the request does not name the payee
