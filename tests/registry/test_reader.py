"""The registry without MLflow's client says what MLflow's client says, from its tables and from its server."""

import base64
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import make_url, text

from database import open_database
from registry import models
from registry.models import manifest_hash
from registry.reader import CHALLENGER, CHAMPION, Registered, RegistryUnreachable, registry_reader
from registry.scorer import DamagedModel, read_manifest
from settings import Settings
from training.fit import Trained


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """An MLflow server that hands out artifacts; ends with the block."""
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--port", address.split(":")[1]]
    command += ["--workers", "1", "--allowed-hosts", address]
    quiet = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=quiet, start_new_session=True)
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                urllib.request.urlopen(f"http://{address}/health", timeout=2)
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    pytest.fail((folder / "server.log").read_text())
                time.sleep(0.1)
        yield f"http://{address}"
    finally:
        os.killpg(process.pid, 9)
        process.wait()


@pytest.fixture(scope="module", params=["sqlite", "server", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A bank whose registry lies in a SQLite file, behind an MLflow server, or on PostgreSQL."""
    var = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        yield Settings(var=var)
    elif request.param == "server":
        models.client(Settings(var=var))  # the server finds its database there and has nothing to migrate
        with mlflow_server(var) as address:
            yield Settings(var=var, mlflow_tracking_uri=address)
    else:
        yield from on_postgresql(var)


def on_postgresql(var: Path) -> Iterator[Settings]:
    url = os.environ.get("OPORA_TEST_POSTGRES_URL")
    if not url:
        pytest.skip("no PostgreSQL: set OPORA_TEST_POSTGRES_URL to run this test on it")
    name = f"mlflow_{uuid4().hex}"
    server = open_database(url).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    uri = make_url(url).set(database=name).render_as_string(hide_password=False)
    artifacts = (var / "artifacts").as_uri()
    models.client(Settings(var=var, mlflow_tracking_uri=uri)).create_experiment("income", artifact_location=artifacts)
    yield Settings(var=var, mlflow_tracking_uri=uri)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="module")
def version(house: Settings, trained: Trained) -> str:
    """A registered version of income, champion."""
    with models.training_run("income", "test", house) as run_id:
        version = models.log(trained.folder, run_id, "income", house)
    models.client(house).set_registered_model_alias("income", CHAMPION, version)
    return version


def test_the_version_behind_an_alias_comes_with_its_hash(house: Settings, version: str, trained: Trained) -> None:
    reader = registry_reader(house)
    assert reader.aliased("income", CHAMPION) == Registered("income", version, manifest_hash(trained.folder))
    assert models.champion_version("income", house) == version


def test_what_has_no_alias_has_no_version(house: Settings, version: str) -> None:
    reader = registry_reader(house)
    assert reader.aliased("income", CHALLENGER) is None
    assert reader.aliased("nowhere", CHAMPION) is None


def test_a_version_that_others_registered_has_no_hash(house: Settings, version: str) -> None:
    api = models.client(house)
    other = api.create_model_version(
        "income", house.var.as_uri() if "http" not in house.mlflow_uri else f"models:/income/{version}"
    )
    api.set_registered_model_alias("income", "foreign", other.version)
    assert registry_reader(house).aliased("income", "foreign") == Registered("income", str(other.version), None)


def test_the_files_of_a_version_arrive_whole_and_nothing_else_does(
    house: Settings, version: str, trained: Trained, tmp_path: Path
) -> None:
    reader = registry_reader(house)
    registered = reader.aliased("income", CHAMPION)
    reader.fetch(registered, tmp_path)
    files = read_manifest(tmp_path, registered.sha256)["files"]
    assert {path.name for path in tmp_path.iterdir()} == {*files, "scorer.json"}


def test_a_version_that_is_gone_is_refused_by_name(house: Settings, version: str, tmp_path: Path) -> None:
    with pytest.raises(DamagedModel, match="income has no version 999"):
        registry_reader(house).fetch(Registered("income", "999", "0" * 64), tmp_path)


def test_a_server_that_is_away_is_said_so(tmp_path: Path) -> None:
    config = Settings(var=tmp_path, mlflow_tracking_uri=f"http://127.0.0.1:{free_port()}")
    began = time.monotonic()
    with pytest.raises(RegistryUnreachable, match="OPORA_MLFLOW_TRACKING_URI"):
        registry_reader(config).aliased("income", CHAMPION)
    assert time.monotonic() - began < 3


def test_a_server_that_hangs_is_given_up_in_seconds(tmp_path: Path) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        config = Settings(var=tmp_path, mlflow_tracking_uri=f"http://127.0.0.1:{deaf.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(RegistryUnreachable):
            registry_reader(config).aliased("income", CHAMPION)
        assert time.monotonic() - began < 4


@pytest.mark.parametrize("content", [b"", b"this is no database, whatever its name says" * 50])
def test_a_file_that_is_no_registry_is_said_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mlflow.db").write_bytes(content)
    with pytest.raises(RegistryUnreachable, match="make pipeline"):
        registry_reader(Settings(var=tmp_path)).aliased("income", CHAMPION)


def test_a_registry_that_is_removed_or_replaced_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    config = Settings(var=tmp_path)
    api = models.client(config)
    models._ensure_registered(api, "income")
    version = str(api.create_model_version("income", tmp_path.as_uri()).version)
    api.set_registered_model_alias("income", CHAMPION, version)
    reader = registry_reader(config)
    assert reader.aliased("income", CHAMPION) is not None
    file = tmp_path / "mlflow.db"
    file.rename(tmp_path / "away.db")
    with pytest.raises(RegistryUnreachable):
        reader.aliased("income", CHAMPION)
    (tmp_path / "away.db").rename(file)
    assert reader.aliased("income", CHAMPION) is not None


@pytest.fixture
def guarded_server() -> Iterator[tuple[str, list[str]]]:
    """A proxy that asks for opora:secret; gives its address and the Authorization headers that came."""
    seen: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization", ""))
            allowed = seen[-1] in ("Basic " + base64.b64encode(b"opora:secret").decode(), "Bearer token")
            self.send_response(200 if allowed else 401)
            self.end_headers()
            self.wfile.write(b'{"model_version": {"name": "income", "version": "4", "tags": []}}' if allowed else b"who are you?")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()


@pytest.mark.parametrize(
    "environment",
    [{"MLFLOW_TRACKING_USERNAME": "opora", "MLFLOW_TRACKING_PASSWORD": "secret"}, {"MLFLOW_TRACKING_TOKEN": "token"}],
)
def test_credentials_of_mlflow_clients_are_sent(
    guarded_server: tuple[str, list[str]], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    reader = registry_reader(Settings(var=tmp_path, mlflow_tracking_uri=guarded_server[0]))
    assert reader.aliased("income", CHAMPION) == Registered("income", "4", None)


def test_wrong_credentials_are_an_unreachable_registry_that_keeps_them_to_itself(
    guarded_server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    address = guarded_server[0].replace("http://", "http://opora:wrong@")
    with pytest.raises(RegistryUnreachable, match="401") as refusal:
        registry_reader(Settings(var=tmp_path, mlflow_tracking_uri=address)).aliased("income", CHAMPION)
    assert "wrong" not in str(refusal.value)


def test_reading_the_registry_needs_no_mlflow(tmp_path: Path) -> None:
    code = (
        "import sys; from bentos.champion import ChampionFollower; import registry.loading; "
        "from registry.reader_server import ServerReader; from registry.reader_tables import TableReader; "
        "print([name for name in ('mlflow', 'evidently', 'sklearn', 'lightgbm', 'xgboost', 'catboost') if name in sys.modules])"
    )
    run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run
    assert run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
