"""Promises of uploads and imports: streamed, bounded, never under the caller's name, and honest when Prefect is away."""

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from bentos.income.service import income_app
from bentos.serving.application import guarded
from bentos.serving.backend import Backend
from bentos.serving.uploads import forget_uploads
from database import open_database
from monitoring.journal import Journal
from settings import Settings

UPLOAD = "/api/imports/income-csv"
CSV = "client_code;month;income;w\n1;2026-01-01;350000,50;1\n".encode("cp1251")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(var=tmp_path_factory.mktemp("imports"), prefect_api_url="http://127.0.0.1:9/api", upload_limit=2_000_000)


@pytest.fixture(scope="module")
def client(config: Settings, opened: Callable[[str], Backend]) -> Iterator[TestClient]:
    backend = Backend("income", config)
    backend.journal, backend.champion = Journal(open_database(config.database("journal"))), opened("income").champion
    yield TestClient(guarded(income_app(backend), config), base_url="http://127.0.0.1", raise_server_exceptions=False)
    backend.journal.close()


def send(client: TestClient, content: bytes, name: str = "incomes.csv", part: str = "file"):
    return client.post(UPLOAD, files={part: (name, content)})


def left_behind(config: Settings) -> list[Path]:
    return [path for path in config.var.rglob("*") if path.is_file() and "uploads" in path.parts]


def test_without_prefect_an_upload_is_503_that_says_so_and_leaves_no_file(client: TestClient, config: Settings) -> None:
    answer = send(client, CSV)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "prefect_unreachable")
    assert "OPORA_PREFECT_API_URL" in answer.json()["error"]["message"]
    assert "Retry-After" in answer.headers
    assert left_behind(config) == []


@pytest.mark.parametrize("path", ["/api/imports/", "/api/admin/import/"])
def test_without_prefect_progress_is_503(client: TestClient, path: str) -> None:
    assert client.get(f"{path}{uuid4()}").json()["error"]["code"] == "prefect_unreachable"
    assert client.post("/api/admin/seed/start").status_code == 503


def test_model_health_answers_without_prefect_and_says_that_failed_imports_are_not_known(client: TestClient) -> None:
    answer = client.get("/api/monitoring/model-health")
    assert answer.status_code == 200
    body = answer.json()
    assert body["failed_imports"] is None
    assert body["model_loaded"] is True
    assert body["feature_count"] > 50
    assert {"requests", "simulation_share", "unique_clients", "mean_latency_ms", "p95_latency_ms"} <= set(body)
    assert {"requests_by_version", "requests_by_source"} <= set(body)


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("incomes.csv", CSV)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (zipped(), 415, "not_a_table"),
        (b"\x1f\x8b\x08" + b"0" * 50, 415, "not_a_table"),
        (b"%PDF-1.7 ", 415, "not_a_table"),
        (b"client_code\x00month", 415, "not_a_table"),
        (b"", 422, "empty_file"),
        (b" \n\n", 422, "empty_file"),
        (CSV * 60_000, 413, "body_too_large"),
    ],
)
def test_what_is_no_table_is_refused_and_leaves_no_file(
    client: TestClient, config: Settings, content: bytes, status: int, code: str
) -> None:
    answer = send(client, content)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert left_behind(config) == []


def test_a_csv_that_is_a_zip_is_told_so(client: TestClient) -> None:
    assert "ZIP" in send(client, zipped()).json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (
            b"--x\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\nclient_code",
            "multipart/form-data; boundary=x",
            422,
        ),
        (b"--y\r\n\r\n--y--", "multipart/form-data; boundary=x", 422),
        (b"--x\r\nno header at all\r\n\r\n1\r\n--x--\r\n", "multipart/form-data; boundary=x", 422),
        (b"--x\r\n" + b"A: b\r\n" * 5000 + b"\r\n1\r\n--x--\r\n", "multipart/form-data; boundary=x", 422),
        (b"--x\r\nContent-Disposition: form-data; name=other\r\n\r\n1\r\n--x--\r\n", "multipart/form-data; boundary=x", 422),
        (b"", "multipart/form-data; boundary=x", 422),
        (CSV, "multipart/form-data; boundary=" + "x" * 5000, 422),
        (CSV, "multipart/form-data", 415),
        (CSV, "text/csv", 415),
        (b"{}", "application/json", 415),
    ],
)
def test_broken_multipart_is_refused_in_the_one_error_shape(
    client: TestClient, config: Settings, body: bytes, kind: str, status: int
) -> None:
    answer = client.post(UPLOAD, content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert set(answer.json()["error"]) <= {"code", "message", "field"}
    assert left_behind(config) == []


def test_an_import_from_an_empty_folder_is_409_and_no_path_is_taken_from_the_caller(client: TestClient) -> None:
    answer = client.post("/api/admin/import/start", json={"table": "verified_incomes"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "nothing_to_import")
    for wrong in ({"table": "../../etc"}, {"table": "clients", "path": "/etc/passwd"}):
        assert client.post("/api/admin/import/start", json=wrong).status_code == 422


@pytest.mark.parametrize("wrong", ["nothing", "1", "'; --"])
def test_what_is_no_id_is_404(client: TestClient, wrong: str) -> None:
    assert client.get(f"/api/imports/{wrong}").status_code == 404


def test_uploads_that_vanish_while_old_ones_are_forgotten_are_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to(tmp_path / "renamed meanwhile")
    (tmp_path / "b.csv").write_bytes(CSV)
    forget_uploads(tmp_path, days=-1)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
