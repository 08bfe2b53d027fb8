"""P6: nothing is unpickled on any way to load a model or to answer a request; a pickle that acts when it is read stays silent."""

import ast
import json
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from bentos.fraud.service import SCORE, fraud_app
from bentos.serving.application import guarded
from bentos.serving.backend import Backend
from registry import models
from registry.scorer import MANIFEST
from settings import PROJECT, Settings

PACKAGES = ("bentos", "edge", "features", "monitoring", "registry", "training", "flows", "simulator", "consent_api")
UNPICKLERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "skops"}
MODEL_CARD = """
flavors:
  python_function:
    loader_module: mlflow.pyfunc.model
    python_model: python_model.pkl
    python_version: 3.11.0
  sklearn:
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.5.0
"""


def a_pickled_model(config: Settings, content: bytes, sealed: str | None) -> str:
    """A version as other tools log it, with the tag that our versions have where it is `sealed`."""
    folder = config.var / "pickled"
    folder.mkdir()
    (folder / "MLmodel").write_text(MODEL_CARD)
    for name in ("python_model.pkl", "model.pkl", MANIFEST):
        (folder / name).write_bytes(content)
    tags = {} if sealed is None else {models.SHA256_TAG: sealed}
    return str(models.client(config).create_model_version("fraud", folder.as_uri(), tags=tags).version)


def unsealed(config: Settings, content: bytes, _promote: Callable[..., str]) -> str:
    return a_pickled_model(config, content, None)


def with_a_pickled_manifest(config: Settings, content: bytes, _promote: Callable[..., str]) -> str:
    return a_pickled_model(config, content, sha256(content).hexdigest())


def with_a_pickled_booster(config: Settings, content: bytes, promote: Callable[..., str]) -> str:
    """A version of ours whose booster somebody replaced, with every hash made to fit."""
    version = promote(config, "fraud", 2)
    location = models.client(config).get_model_version_download_uri("fraud", version)
    (manifest,) = Path(location.removeprefix("file://")).glob(f"artifacts/*/{MANIFEST}")
    (manifest.parent / "fraud.txt").write_bytes(content)
    said = json.loads(manifest.read_text())
    said["files"]["fraud.txt"] = sha256(content).hexdigest()
    manifest.write_text(json.dumps(said))
    models.client(config).set_model_version_tag("fraud", version, models.SHA256_TAG, models.manifest_hash(manifest.parent))
    return version


@pytest.mark.parametrize("planted", [unsealed, with_a_pickled_manifest, with_a_pickled_booster])
def test_p06_a_pickle_that_is_made_champion_is_not_read_and_the_version_before_serves(
    tmp_path: Path,
    promote_in: Callable[[Settings, str, int], str],
    planted: Callable[[Settings, bytes, Callable[..., str]], str],
    canary: bytes,
    marker: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = Settings(var=tmp_path / "var", champion_poll_seconds=0.1, shadow_share=0)
    first = promote_in(config, "fraud", 1)
    version = planted(config, canary, promote_in)
    models.client(config).set_registered_model_alias("fraud", models.CHAMPION, first)
    backend = Backend("fraud", config)
    backend.champion.look()
    backend.start()
    models.client(config).set_registered_model_alias("fraud", models.CHAMPION, version)
    deadline = time.monotonic() + 20
    while f"version {version}: " not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.02)
    client = TestClient(guarded(fraud_app(backend), config), base_url="http://127.0.0.1")
    answer = client.post(SCORE, json={"amount": 31_000})
    backend.stop()
    assert f"version {version}: " in caplog.text
    assert (answer.status_code, answer.json()["model_version"]) == (200, first)
    assert not marker.exists()


def imported(tree: ast.AST) -> Iterator[str]:
    """Modules that a file imports, whole or in part, and what it takes from them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", PACKAGES)
def test_p06_no_code_that_runs_reads_pickles_or_asks_bentoml_for_a_dependency_service(package: str) -> None:
    files = list((PROJECT / package).rglob("*.py"))
    assert files
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        assert not {name for name in imported(tree) if name.split(".", 1)[0] in UNPICKLERS}, file
        attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not attributes & {"depends", "read_pickle", "to_pickle", "allow_pickle", "Runner", "runners"}, file
