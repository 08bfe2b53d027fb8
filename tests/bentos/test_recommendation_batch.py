"""Promises of uploads, POST /process, /push-notifications, GET /export/csv, /stats and /health, over a real lake."""

import csv
import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from starlette.testclient import TestClient

from bentos.push.checks import RULES, PushText
from bentos.push.grammar import given_name
from bentos.recommendation.service import recommendation_app
from bentos.recommendation.store import RecommendationStore, Stored
from bentos.serving.application import guarded
from bentos.serving.backend import Backend
from clock import now
from database import open_database
from features.categories import CATEGORIES
from features.code_lists import PRODUCTS, STATUSES
from settings import Settings

CLIENTS = 60
NAMES = ("Айгерим", "ДАНИЯР", "=1+1", "", "<b>Анна</b>", "Әлия")


def clients() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "client_code": [*map(str, range(100, 100 + CLIENTS)), "-7"],
            "name": [NAMES[number % len(NAMES)] for number in range(CLIENTS)] + ["Марат"],
            "status": [STATUSES[number % len(STATUSES)] for number in range(CLIENTS + 1)],
            "age": rng.integers(14, 80, CLIENTS + 1),
            "city": "Алматы",
            "avg_monthly_balance_KZT": rng.integers(0, 3_000_000, CLIENTS + 1),
        }
    )


def transactions() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    rows = 60 * CLIENTS
    return pd.DataFrame(
        {
            "date": pd.Timestamp(2025, 12, 31, 12) - pd.to_timedelta(rng.integers(0, 80 * 24, rows), unit="h"),
            "category": rng.choice(list(CATEGORIES), rows),
            "amount": rng.integers(100, 30_000, rows),
            "currency": rng.choice(["KZT", "USD"], rows, p=[0.95, 0.05]),
            "client_code": rng.choice([*clients().client_code[1:]], rows),
        }
    )


def transfers() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    rows = 20 * CLIENTS
    kinds = rng.choice(["salary_in", "p2p_out", "loan_payment_out", "fx_buy", "atm_withdrawal"], rows)
    return pd.DataFrame(
        {
            "date": pd.Timestamp(2025, 12, 31, 12) - pd.to_timedelta(rng.integers(0, 80 * 24, rows), unit="h"),
            "type": kinds,
            "direction": np.where(kinds == "salary_in", "in", "out"),
            "amount": rng.integers(10_000, 400_000, rows),
            "currency": "KZT",
            "client_code": rng.choice([*clients().client_code[1:]], rows),
        }
    )


TABLES = {"clients": clients, "transactions": transactions, "transfers": transfers}


def bank_at(folder: Path, promote_in: Callable[[Settings, str, int], str]) -> Backend:
    config = Settings(var=folder)
    promote_in(config, "recommendation", 1)
    backend = Backend("recommendation", config)
    backend.champion.look()
    backend.start()
    return backend


def client_of(backend: Backend) -> TestClient:
    app = guarded(recommendation_app(backend), backend.config)
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)


def upload(client: TestClient, table: str, content: bytes | None = None) -> dict[str, object]:
    data = TABLES[table]().to_csv(index=False).encode() if content is None else content
    answer = client.post(f"/upload/{table}", files={"file": (f"{table}.csv", data, "text/csv")})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory, promote_in: Callable[[Settings, str, int], str]) -> Iterator[Backend]:
    backend = bank_at(tmp_path_factory.mktemp("processed"), promote_in)
    yield backend
    backend.stop()


@pytest.fixture(scope="module")
def client(backend: Backend) -> TestClient:
    client = client_of(backend)
    for table in TABLES:
        upload(client, table)
    return client


@pytest.fixture(scope="module")
def processed(client: TestClient) -> dict[str, object]:
    answer = client.post("/process")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def pushes(client: TestClient, processed: dict[str, object]) -> list[dict[str, str]]:
    answer = client.post("/push-notifications")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_upload_answers_with_the_ingest_summary_and_the_same_content_lands_once(client: TestClient) -> None:
    summary = upload(client, "clients")
    assert summary["already_ingested"] is True
    assert (summary["table"], summary["read"], summary["landed"], summary["version"]) == ("clients", CLIENTS + 1, CLIENTS + 1, 0)
    assert summary["quarantined"] == {}


def test_bad_rows_are_quarantined_and_counted_by_rule(tmp_path: Path, backend: Backend, client: TestClient) -> None:
    rows = clients().assign(client_code=lambda frame: "q" + frame.client_code)
    rows.loc[3, "age"] = 200
    summary = upload(client, "clients", rows.to_csv(index=False).encode())
    assert (summary["read"], summary["landed"]) == (CLIENTS + 1, CLIENTS)
    assert sum(summary["quarantined"].values()) == 1


def test_an_upload_leaves_nothing_behind_in_var(backend: Backend, client: TestClient) -> None:
    upload(client, "clients")
    assert not [path for path in (backend.config.var / "uploads").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"a,b\n1,2\n", 422),
        (b"", 422),
        (b"PK\x03\x04" + b"\x00" * 100, 415),
        (bytes(range(256)) * 10, 415),
        (b"client_code,name,status,age,city,avg_monthly_balance_KZT\n" + b"1,x,nobody,5,y,z\n" * 50, 422),
    ],
)
def test_a_file_that_is_no_such_table_is_refused_whole(client: TestClient, content: bytes, status: int) -> None:
    before = client.get("/stats").json()
    answer = client.post("/upload/clients", files={"file": ("clients.csv", content)})
    assert answer.status_code == status
    assert answer.json()["error"]["field"] == "file"
    assert client.get("/stats").json() == before


def test_a_body_that_is_no_form_with_a_file_is_refused(client: TestClient) -> None:
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    for answer in (
        client.post("/upload/transfers"),
        client.post("/upload/transfers", json={"file": "a"}),
        client.post("/upload/transfers", files={"other": ("a.csv", b"a")}),
        client.post("/upload/transfers", content=b"--x\r\nnonsense", headers=broken),
        client.post("/upload/sessions", files={"file": ("a.csv", b"a")}),
    ):
        assert answer.status_code in (404, 415, 422)
        assert set(answer.json()) == {"error"}


def test_process_says_what_it_did(processed: dict[str, object], backend: Backend) -> None:
    assert processed["as_of"] == "2026-01-01T00:00:00Z"
    assert processed["clients_without_data"] >= 1  # nobody bought anything for client 100
    assert 0 < processed["recommendations"] <= 4 * processed["clients"]
    assert processed["scores"] >= processed["recommendations"]
    assert processed["model_version"] == backend.champion.model().version
    seconds = processed["seconds"]
    assert seconds["total"] == pytest.approx(seconds["features"] + seconds["scoring"], abs=0.01)


def stored(backend: Backend) -> list[Stored]:
    store = RecommendationStore(open_database(backend.config.database("online")))
    run = store.current()
    assert run is not None
    return store.recommendations(run.id)


def test_the_batch_says_what_the_single_call_says(backend: Backend, client: TestClient, processed: dict[str, object]) -> None:
    by_client: dict[str, list[Stored]] = {}
    for row in stored(backend):
        by_client.setdefault(row.client_code, []).append(row)
    assert len(by_client) > CLIENTS / 2
    for code, rows in by_client.items():
        items = client.get(f"/recommendations/{code}").json()
        single = [(item["product"], item["expected_benefit"], item["propensity"], item["rank"]) for item in items]
        assert [(row.product, row.expected_benefit, row.propensity, row.rank) for row in rows] == single


def test_every_score_of_the_batch_is_a_row_of_the_journal(backend: Backend, processed: dict[str, object]) -> None:
    rows = backend.journal.window("recommendation", now() - timedelta(minutes=10), now() + timedelta(minutes=10))
    batch = rows[rows.source == "batch"].set_index("score_id")
    assert len(batch) == processed["scores"]
    assert set(batch.decision_accepted) == {"recommended", "not recommended"}
    for row in stored(backend):
        kept = batch.loc[row.score_id]
        assert (kept.client_id, kept.feature_product, kept.prediction_accepted) == (row.client_code, row.product, row.propensity)
        assert kept.decision_accepted == "recommended"
        assert kept.model_version == processed["model_version"]


def test_the_journal_of_the_batch_holds_the_features_of_the_single_call(
    backend: Backend, client: TestClient, processed: dict[str, object]
) -> None:
    client.get("/recommendations/101")
    rows = backend.journal.window("recommendation", now() - timedelta(minutes=10), now() + timedelta(minutes=10))
    rows = rows[rows.client_id == "101"].sort_values("ts")
    features = [name for name in rows if name.startswith("feature_")]
    single = rows[rows.source == "api"].drop_duplicates("feature_product", keep="last").sort_values("feature_product")
    batch = rows[rows.source == "batch"].drop_duplicates("feature_product", keep="last").sort_values("feature_product")
    pd.testing.assert_frame_equal(single[features].reset_index(drop=True), batch[features].reset_index(drop=True))


def test_every_client_gets_one_push_that_keeps_the_rules(
    backend: Backend, processed: dict[str, object], pushes: list[dict[str, str]]
) -> None:
    recommended = {row.client_code: row for row in stored(backend) if row.rank == 1}
    assert len(pushes) == len({push["client_code"] for push in pushes}) > CLIENTS / 2
    called = dict(zip(clients().client_code, clients().name, strict=True))
    for push in pushes:
        assert set(push) == {"client_code", "product", "push_notification", "score_id", "model_version"}
        best = recommended[push["client_code"]]
        if best.expected_benefit >= 1_000:
            assert (push["product"], push["score_id"]) == (best.product, best.score_id)
        text, name = push["push_notification"], given_name(called[push["client_code"]])
        assert not name or text.startswith(f"{name}, ")
        for rule in ("has 90 to 220 characters", "has no word in capitals", "has one call to action", "does not press"):
            assert RULES[rule](PushText(text, None, "", ""))


def test_one_by_one_the_texts_are_those_of_the_batch(client: TestClient, pushes: list[dict[str, str]]) -> None:
    for push in pushes[:20]:
        answer = client.post("/push-notifications", json={"client_codes": [push["client_code"]]})
        assert answer.json() == [push]
    assert client.post("/push-notifications").json() == pushes


def test_an_unknown_client_gets_404_and_a_client_without_data_no_push(client: TestClient, pushes: list[dict[str, str]]) -> None:
    answer = client.post("/push-notifications", json={"client_codes": ["101", "nobody"]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_client")
    assert "nobody" not in answer.text
    assert client.post("/push-notifications", json={"client_codes": ["100"]}).json() == []


@pytest.mark.parametrize(
    "body",
    [{"client_codes": []}, {"client_codes": [1]}, {"codes": ["1"]}, [], "x", {"client_codes": ["a\x00"]}, {"client_codes": 5}],
)
def test_a_wrong_body_is_refused_with_the_field_named(client: TestClient, body: object) -> None:
    answer = client.post("/push-notifications", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["field"]


def test_the_export_has_every_push_and_no_formula(client: TestClient, pushes: list[dict[str, str]]) -> None:
    answer = client.get("/export/csv")
    assert answer.headers["content-type"].startswith("text/csv")
    header, *rows = csv.reader(io.StringIO(answer.text))
    assert header == ["client_code", "product", "push_notification"]
    expected = [[push["client_code"], push["product"], push["push_notification"]] for push in pushes]
    assert [[row[0].removeprefix("'"), *row[1:]] for row in rows] == expected
    assert "'-7" in [row[0] for row in rows]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row)


def test_statistics_count_tables_and_recommendations(
    backend: Backend, client: TestClient, processed: dict[str, object], pushes: list[dict[str, str]]
) -> None:
    stats = client.get("/stats").json()
    assert stats["transactions"] == 60 * CLIENTS
    assert stats["transfers"] == 20 * CLIENTS
    assert stats["clients"] >= CLIENTS + 1
    rows = stored(backend)
    assert stats["recommendations_by_product"] == pd.Series([row.product for row in rows]).value_counts().to_dict()
    assert stats["mean_benefit"] == pytest.approx(np.mean([row.expected_benefit for row in rows]), abs=0.01)
    assert stats["push_notifications"] == len(pushes)
    assert set(stats["recommendations_by_product"]) <= set(PRODUCTS)


def test_results_survive_a_restart_and_are_the_same_in_every_worker(
    backend: Backend, client: TestClient, pushes: list[dict[str, str]]
) -> None:
    other = client_of(backend)  # a worker that has processed nothing itself
    assert other.get("/export/csv").content == client.get("/export/csv").content
    assert other.get("/stats").json() == client.get("/stats").json()


def test_before_the_first_upload_and_process_the_caller_is_told_what_to_do(
    tmp_path: Path, promote_in: Callable[[Settings, str, int], str]
) -> None:
    backend = bank_at(tmp_path, promote_in)
    client = client_of(backend)
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/stats").json()["clients"] == 0
    assert client.get("/stats").json()["mean_benefit"] is None
    for method, path, code in (
        ("POST", "/process", "nothing_ingested"),
        ("POST", "/push-notifications", "not_processed"),
        ("GET", "/export/csv", "not_processed"),
    ):
        answer = client.request(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, code)
    upload(client, "transactions")
    assert client.post("/process").status_code == 409
    upload(client, "clients")
    assert client.post("/process").status_code == 200
    answer = client.get("/export/csv")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_push_notifications")
    backend.stop()


def test_what_is_uploaded_later_counts_in_the_next_process(
    tmp_path: Path, promote_in: Callable[[Settings, str, int], str]
) -> None:
    backend = bank_at(tmp_path, promote_in)
    client = client_of(backend)
    for table in TABLES:
        upload(client, table)
    first = client.post("/process").json()
    late = transactions().head(30).assign(client_code="100", category="Такси", amount=500_000)
    upload(client, "transactions", late.to_csv(index=False).encode())
    assert client.get("/recommendations/100").status_code == 409
    second = client.post("/process").json()
    assert second["clients_without_data"] == first["clients_without_data"] - 1
    assert client.get("/recommendations/100").json()
    backend.stop()


def test_only_one_computation_runs_at_a_time(backend: Backend, client: TestClient, processed: dict[str, object]) -> None:
    with FileLock(backend.config.var / "recommendations.lock"):
        answer = client.post("/process")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "already_processing")
    assert "retry-after" in answer.headers


def test_push_texts_of_recommendations_that_were_computed_anew_twice_meanwhile_are_409(
    tmp_path: Path, promote_in: Callable[[Settings, str, int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = bank_at(tmp_path, promote_in)
    store = RecommendationStore(open_database(backend.config.database("online")))
    runs = [store.begin("1") for _ in range(3)]
    store.complete(runs[0])
    as_it_began = store.current()
    for run in runs[1:]:
        store.complete(run)
    monkeypatch.setattr(RecommendationStore, "current", lambda _: as_it_began)
    answer = client_of(backend).post("/push-notifications")
    backend.stop()
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "computed_anew")
    assert "retry-after" in answer.headers
