"""Promises of the asynchronous prescoring endpoints, and of the catalogue of banks behind them."""

import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from bentos.prescoring.service import prescoring_app
from bentos.prescoring.tasks import Prescoring
from bentos.prescoring.worker import QueueWorker
from bentos.serving.application import guarded
from bentos.serving.backend import Backend
from clock import now
from database import open_database
from features.tables import BANKS
from monitoring.journal import Journal
from settings import Settings

UNKNOWN = "0" * 32


def form(number: float, **fields: object) -> dict[str, object]:
    return {"monthprofit": number, "monthexpense": 90_000, "loan_amount": 250_000, "loan_term": 12, **fields}


@pytest.fixture(scope="module")
def backend(opened: Callable[[str], Backend]) -> Backend:
    return opened("prescoring")


@pytest.fixture(scope="module")
def prescoring(backend: Backend) -> Prescoring:
    return Prescoring(backend)


def client_of(backend: Backend, prescoring: Prescoring | None = None) -> TestClient:
    app = guarded(prescoring_app(backend, prescoring), backend.config)
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)


@pytest.fixture(scope="module")
def client(backend: Backend, prescoring: Prescoring) -> TestClient:
    return client_of(backend, prescoring)


@pytest.fixture
def working(prescoring: Prescoring) -> Iterator[QueueWorker]:
    worker = QueueWorker(prescoring, timedelta(days=30))
    worker.start()
    yield worker
    worker.stop()


def upload(client: TestClient, body: dict[str, object]) -> str:
    answer = client.post("/upload_features", json=body)
    assert answer.status_code == 201
    return answer.json()["task_id"]


def wait(client: TestClient, task_id: str) -> None:
    deadline = time.monotonic() + 30
    while client.get("/check_state", params={"task_id": task_id}).json() is not True:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def journalled(backend: Backend, score_id: str) -> int:
    rows = backend.journal.window("prescoring", now() - timedelta(minutes=5), now() + timedelta(minutes=5))
    return int((rows.score_id == score_id).sum())


def test_a_form_waits_until_a_worker_has_computed_it_and_then_has_a_result(
    backend: Backend, client: TestClient, prescoring: Prescoring
) -> None:
    answer = client.post("/upload_features", json={"features": form(1)})
    assert answer.status_code == 201
    assert answer.json() == {"task_id": answer.json()["task_id"], "is_complete": False}
    task_id = answer.json()["task_id"]
    assert client.get("/check_state", params={"task_id": task_id}).json() is False
    assert client.get("/check_task", params={"task_id": task_id}).json() is False
    early = client.get("/get_result", params={"task_id": task_id})
    assert (early.status_code, early.json()["error"]["code"]) == (409, "not_ready")
    worker = QueueWorker(prescoring, timedelta(days=30))
    worker.start()
    wait(client, task_id)
    worker.stop()
    assert client.get("/check_task", params={"task_id": task_id}).json() is True
    result = client.get("/get_result", params={"task_id": task_id})
    assert result.status_code == 200
    body = result.json()
    assert set(body) == {*BANKS, "task_id", "offers", "reasons", "missing", "model_version", "score_id"}
    assert body["task_id"] == task_id
    assert journalled(backend, body["score_id"]) == 1


@pytest.mark.parametrize("path", ["/check_state", "/check_task", "/get_result"])
def test_an_unknown_task_is_404_and_what_is_no_task_id_422(client: TestClient, path: str) -> None:
    assert client.get(path, params={"task_id": UNKNOWN}).json()["error"]["code"] == "unknown_task"
    assert client.get(path, params={"task_id": UNKNOWN}).status_code == 404
    for wrong in ({"task_id": "'; DROP TABLE journal; --"}, {}):
        answer = client.get(path, params=wrong)
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, "task_id")


def test_the_same_form_is_one_task_and_one_row_of_the_journal_however_it_is_sent(
    backend: Backend, client: TestClient, working: QueueWorker
) -> None:
    same = [form(2), form(2.0), {"features": form(2)}, form(2, position=None)]
    (task_id,) = {upload(client, body) for body in same}
    wait(client, task_id)
    stored = client.get("/get_result", params={"task_id": task_id}).content
    assert {client.post("/prescore", json=body).content for body in same} == {stored}
    assert client.post("/upload_features", json=form(2)).json() == {"task_id": task_id, "is_complete": True}
    assert journalled(backend, client.get("/get_result", params={"task_id": task_id}).json()["score_id"]) == 1
    assert upload(client, form(2, loan_term=13)) != task_id


def test_twenty_callers_of_prescore_at_once_get_one_answer(backend: Backend, client: TestClient) -> None:
    with ThreadPoolExecutor(20) as callers:
        answers = list(callers.map(lambda _: client.post("/prescore", json=form(3)), range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    rows = backend.journal.window("prescoring", now() - timedelta(minutes=5), now() + timedelta(minutes=5))
    assert (rows.feature_monthprofit == 3).sum() == 1


def test_a_form_that_is_waiting_can_be_had_at_once_through_prescore(client: TestClient) -> None:
    task_id = upload(client, form(4))
    answer = client.post("/prescore", json=form(4))
    assert answer.json()["task_id"] == task_id
    assert client.get("/get_result", params={"task_id": task_id}).content == answer.content


def test_a_form_that_cannot_be_scored_is_given_up_with_a_reason_and_the_others_go_on(
    backend: Backend, client: TestClient, working: QueueWorker
) -> None:
    thresholds = backend.champion.model().scorer.thresholds
    lost = thresholds.pop("bank_a")
    try:
        task_id = upload(client, form(5, position="Сантехник"))
        wait(client, task_id)
    finally:
        thresholds["bank_a"] = lost
    answer = client.get("/get_result", params={"task_id": task_id})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "not_scorable")
    assert "3 attempts" in answer.json()["error"]["message"]
    assert "Сантехник" not in answer.text
    healthy = upload(client, form(6))
    wait(client, healthy)
    assert client.get("/get_result", params={"task_id": healthy}).status_code == 200
    assert upload(client, form(5, position="Сантехник")) == task_id
    wait(client, task_id)
    assert client.get("/get_result", params={"task_id": task_id}).status_code == 200


def test_the_root_leads_to_the_documentation(client: TestClient) -> None:
    answer = client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")
    assert client.get("/docs").status_code == 200


def with_catalogue(backend: Backend, folder: Path, change: Callable[[str], str]) -> TestClient:
    """The service over the same model with another banks.toml and an empty journal."""
    shutil.copytree(backend.config.catalogues, folder / "catalogues")
    banks = folder / "catalogues" / "banks.toml"
    banks.write_text(change(banks.read_text(encoding="utf-8")), encoding="utf-8")
    other = Backend("prescoring", backend.config.model_copy(update={"catalogues": folder / "catalogues", "var": folder}))
    other.journal, other.champion = Journal(open_database(other.config.database("journal"))), backend.champion
    other.shadow = backend.shadow
    return client_of(other)


def test_a_threshold_in_the_catalogue_takes_the_place_of_the_models(backend: Backend, tmp_path: Path) -> None:
    client = with_catalogue(backend, tmp_path, lambda toml: toml.replace('name = "Банк A"', 'name = "Банк A"\nthreshold = 1.0'))
    assert client.post("/prescore", json=form(7)).json()["bank_a"]["decision"] == "decline"


def test_a_field_out_of_use_is_accepted_not_looked_at_and_not_missed(backend: Backend, tmp_path: Path) -> None:
    client = with_catalogue(backend, tmp_path, lambda toml: toml.replace('"monthprofit", ', ""))
    answers = [client.post("/prescore", json=form(profit)).json() for profit in (8, 10**9)]
    assert answers[0]["task_id"] != answers[1]["task_id"]
    assert answers[0]["bank_a"] == answers[1]["bank_a"]
    with open_database(f"sqlite:///{tmp_path / 'journal.db'}").connect() as connection:
        seen = [orjson.loads(row) for (row,) in connection.execute(text("SELECT features FROM journal"))]
    assert [row["monthprofit"] for row in seen] == [None, None]
    missing = client.post("/prescore", json={}).json()["missing"]
    assert "monthprofit" not in missing
    assert "snils" in missing


def test_a_sixth_bank_appears_once_a_version_knows_it_without_a_change_of_code(
    tmp_path: Path, promote_in: Callable[[Settings, str, int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = promote_in.__globals__
    monkeypatch.setitem(taught["OUTPUTS"], "prescoring", (*BANKS, "bank_f"))
    monkeypatch.setitem(taught["THRESHOLDS"], "prescoring", {bank: {"approve": 0.0} for bank in (*BANKS, "bank_f")})
    shutil.copytree(Settings().catalogues, tmp_path / "catalogues")
    banks = tmp_path / "catalogues" / "banks.toml"
    sixth = banks.read_text(encoding="utf-8").split("[bank.bank_e]")[1].replace("Банк E", "Банк F")
    banks.write_text(banks.read_text(encoding="utf-8") + "\n[bank.bank_f]" + sixth, encoding="utf-8")
    config = Settings(var=tmp_path / "var", catalogues=tmp_path / "catalogues")
    promote_in(config, "prescoring", 1)
    backend = Backend("prescoring", config)
    backend.champion.look()
    backend.start()
    body = client_of(backend).post("/prescore", json=form(9)).json()
    backend.stop()
    assert body["bank_f"]["decision"] == "approve"
    assert {"bank_f": "Банк F"}.items() <= {offer["bank"]: offer["name"] for offer in body["offers"]}.items()
    assert "bank_f" in body["reasons"]
