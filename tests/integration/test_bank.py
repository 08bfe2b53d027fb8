"""The whole bank, started as the README says: pipeline in one process, services in others, called as their users would."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, text

import settings as settings_module
from database import open_database
from features.lake import Lake
from flows.pipeline import PipelineRequest
from flows.pipeline import pipeline as run_again
from monitoring.batches import features_of
from monitoring.draining import reading
from registry.models import USE_CASES

ROOT = Path(__file__).parents[2]
CLIENTS = 600
pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def environment(prefect_database: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    var = tmp_path_factory.mktemp("bank")
    (var / "prefect").mkdir()
    shutil.copy(prefect_database, var / "prefect")
    environment = {**os.environ, "OPORA_VAR": str(var), "PREFECT_HOME": str(var / "prefect"), "PYTHONPATH": str(ROOT)}
    environment["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "120"  # as make exports it
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    environment.pop("PREFECT_API_URL", None)
    return environment


@pytest.fixture(scope="module")
def pipeline(environment: dict[str, str]) -> str:
    """The main job on a small bank, with no server running; its printed lines."""
    command = [sys.executable, "-m", "flows.run_pipeline", "--clients", str(CLIENTS), "--trials", "1", "--seconds", "5"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=550)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def services(pipeline: str, environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """The four scoring services over what the pipeline left, each a BentoML process of its own; base URL by use case."""
    names = {
        "income": "IncomeService",
        "prescoring": "PrescoringService",
        "recommendation": "RecommendationService",
        "fraud": "FraudService",
    }
    processes, urls = [], {}
    for module, name in names.items():
        port = free_port()
        urls[module] = f"http://127.0.0.1:{port}"
        command = ["bentoml", "serve", f"bentos.{module}.service:{name}", "--host", "127.0.0.1", "--port", str(port)]
        processes.append(subprocess.Popen(command, env=environment, cwd=ROOT, start_new_session=True))
    try:
        with httpx.Client(timeout=2) as client:
            for url in urls.values():
                wait_until_ready(client, f"{url}/readyz")
        yield urls
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGTERM)
        for process in processes:
            process.wait(30)


def wait_until_ready(client: httpx.Client, url: str, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if client.get(url).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.3)
    pytest.fail(f"{url} was not ready within {seconds:.0f} s")


def journal(environment: dict[str, str]) -> Connection:
    return reading(open_database(f"sqlite:///{environment['OPORA_VAR']}/journal.db"))


def journal_rows(environment: dict[str, str]) -> int:
    with journal(environment) as connection:
        return connection.execute(text("SELECT count(*) FROM journal WHERE status = 'ok'")).scalar_one()


def journal_row(environment: dict[str, str], score_id: str) -> tuple[str, str, dict[str, Any]]:
    """Use case, model version and features by name of a score that was answered."""
    with journal(environment) as connection:
        query = text("SELECT use_case, model_version, features FROM journal WHERE score_id = :score_id")
        found = connection.execute(query, {"score_id": score_id}).first()
        names_of = connection.execute(text("SELECT layout, names FROM journal_layouts"))
        layouts = {layout: json.loads(names) for layout, names in names_of}
    assert found is not None, f"score {score_id} was answered but is not in the journal"
    use_case, version, features = found
    return use_case, version, features_of(features, layouts)


def a_client(environment: dict[str, str]) -> str:
    lake = Lake(str(Path(environment["OPORA_VAR"]) / "lake"))
    return lake.read("clients").client_code.min().to_pandas()


def test_the_pipeline_names_a_champion_for_every_use_case(pipeline: str, environment: dict[str, str]) -> None:
    for use_case in USE_CASES:
        assert use_case in pipeline
    state = json.loads((Path(environment["OPORA_VAR"]) / "pipeline.json").read_text())
    assert set(state["champions"]) == set(USE_CASES)
    assert all(state["champions"].values())


def test_a_second_run_finds_nothing_to_do_and_keeps_the_champions(
    pipeline: str, environment: dict[str, str], prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = (Path(environment["OPORA_VAR"]) / "pipeline.json").read_bytes()
    monkeypatch.setenv("OPORA_VAR", environment["OPORA_VAR"])
    settings_module.settings.cache_clear()
    try:
        rows = run_again(PipelineRequest(clients=CLIENTS))
    finally:
        monkeypatch.undo()
        settings_module.settings.cache_clear()
    assert [(row["use case"], row["this run"]) for row in rows] == [(name, "nothing new in the lake") for name in USE_CASES]
    assert (Path(environment["OPORA_VAR"]) / "pipeline.json").read_bytes() == state


def test_income_answers_with_an_interval_around_the_prediction(services: dict[str, str], environment: dict[str, str]) -> None:
    answer = httpx.post(f"{services['income']}/api/predictions", json={"client_id": a_client(environment)}).json()
    assert answer["interval_low"] <= answer["income_pred"] <= answer["interval_high"]
    assert answer["segment_code"] in {"low", "middle", "high", "premium"}
    assert journal_row(environment, answer["score_id"])[:2] == ("income", answer["model_version"])


def test_prescoring_answers_for_every_bank(services: dict[str, str], environment: dict[str, str]) -> None:
    form = {"monthprofit": 400_000, "monthexpense": 90_000, "loan_amount": 500_000, "loan_term": 12, "gender": 1}
    answer = httpx.post(f"{services['prescoring']}/prescore", json={"features": form}).json()
    assert all(bank in answer for bank in ("bank_a", "bank_b", "bank_c", "bank_d", "bank_e"))
    assert journal_row(environment, answer["score_id"])[:2] == ("prescoring", answer["model_version"])


def test_recommendation_ranks_four_products(services: dict[str, str], environment: dict[str, str]) -> None:
    response = httpx.get(f"{services['recommendation']}/recommendations/{a_client(environment)}")
    assert response.status_code == 200, response.text
    products = [item["product"] for item in recommended(response.json())]
    assert 1 <= len(products) == len(set(products)) <= 4


def recommended(answer: object) -> list[dict[str, object]]:
    return answer if isinstance(answer, list) else answer["recommendations"]  # type: ignore[index]


def test_fraud_scores_the_documented_request(services: dict[str, str], environment: dict[str, str]) -> None:
    answer = httpx.post(f"{services['fraud']}/api/v1/score_transaction", json={"client_id": "12345", "amount": 31000}).json()
    assert set(answer) == {"fraud_probability", "risk_level", "model_version", "score_id"}
    assert answer["risk_level"] in {"low", "medium", "high"}
    use_case, version, features = journal_row(environment, answer["score_id"])
    assert (use_case, version) == ("fraud", answer["model_version"])
    assert features["login_sessions_7d_was_missing"] == 1


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"amount": -1}', b'{"amount": NaN}', b'{"amount": 1e400}', b'{"amount": 1, "x": 1}']
)
def test_a_malformed_transaction_is_refused_and_leaves_no_row(
    services: dict[str, str], environment: dict[str, str], body: bytes
) -> None:
    before = journal_rows(environment)
    response = httpx.post(
        f"{services['fraud']}/api/v1/score_transaction", content=body, headers={"Content-Type": "application/json"}
    )
    assert 400 <= response.status_code < 500
    assert set(response.json()) == {"error"}
    assert journal_rows(environment) == before


def test_a_body_of_40_mib_is_refused(services: dict[str, str]) -> None:
    response = httpx.post(f"{services['fraud']}/api/v1/score_transaction", content=b" " * (40 << 20), timeout=30)
    assert response.status_code == 413
