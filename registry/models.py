"""Model versions on MLflow: log, find the champion, download, load."""

import hashlib
import json
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, Literal, get_args

import mlflow
import pandas as pd
from filelock import FileLock
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature

from clock import now
from registry.copies import Copies
from registry.loading import LoadedModel
from registry.reader import CHALLENGER, CHAMPION, SHA256_TAG, Registered
from registry.reader_tables import copy_scorer
from registry.scorer import MANIFEST, Scorer
from settings import Settings, settings

__all__ = ["CHALLENGER", "CHAMPION", "SHA256_TAG", "LoadedModel"]

UseCaseName = Literal["income", "prescoring", "recommendation", "fraud"]
USE_CASES: tuple[UseCaseName, ...] = get_args(UseCaseName)
"""The bank's own models; the names that forms offer and that no table of a user's may take."""
GATE_TAG = "opora.gate"
"""Tag of a version: the gate's verdict in words."""
GONE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


class NoChampion(Exception):
    """The use case has no version in force; train it first."""


def client(config: Settings | None = None) -> mlflow.MlflowClient:
    """A client of the configured tracking server and registry; makes the embedded database when it is first needed."""
    config = config or settings()
    if config.mlflow_uri.startswith("sqlite:"):
        _prepare_embedded(config.mlflow_uri, config.var)
    return mlflow.MlflowClient(config.mlflow_uri, config.mlflow_uri)


@cache
def _prepare_embedded(uri: str, var: Path) -> None:
    """Create or migrate the SQLite database once per process, one process at a time: MLflow's migrations do not bear company."""
    var.mkdir(parents=True, exist_ok=True)
    with FileLock(var / "mlflow.lock"):
        api = mlflow.MlflowClient(uri, uri)
        api.search_experiments(max_results=1)
        api.search_registered_models(max_results=1)


def experiment_id(use_case: str, config: Settings | None = None) -> str:
    """The MLflow experiment of a use case, made when it is first asked for."""
    config = config or settings()
    api = client(config)
    found = api.get_experiment_by_name(use_case)
    if found:
        return str(found.experiment_id)
    embedded = config.mlflow_uri.startswith("sqlite:")
    location = (config.var / "mlartifacts" / use_case).as_uri() if embedded else None
    try:
        return str(api.create_experiment(use_case, artifact_location=location))
    except MlflowException:  # another process made it between the look and the creation
        created = api.get_experiment_by_name(use_case)
        if created is None:
            raise
        return str(created.experiment_id)


@contextmanager
def training_run(use_case: str, name: str, config: Settings | None = None) -> Iterator[str]:
    """An MLflow run of a use case; yields its id, marks it failed when the body raises."""
    api = client(config)
    run = api.create_run(experiment_id(use_case, config), run_name=name)
    try:
        yield run.info.run_id
    except BaseException:
        api.set_terminated(run.info.run_id, status="FAILED")
        raise
    api.set_terminated(run.info.run_id)


def end_abandoned_runs(before: datetime, config: Settings | None = None) -> int:
    """Mark runs that began before `before` and never ended as killed, as whoever made them must have been; returns how many."""
    api = client(config)
    wanted = f"attributes.status = 'RUNNING' AND attributes.start_time < {int(before.timestamp() * 1000)}"
    runs = api.search_runs([one.experiment_id for one in api.search_experiments()], wanted)
    for run in runs:
        api.set_terminated(run.info.run_id, status="KILLED")
    return len(runs)


def log(folder: Path, run_id: str, use_case: str, config: Settings | None = None) -> str:
    """Register the scorer in `folder` as the next version of `use_case`, logged under the run `run_id`.

    The version is a model-from-code over native files: any MLflow client can load it, and no step needs pickle.
    The hash of its manifest is a tag of the version; loading compares it.

    Returns:
        The version number, as text.
    """
    config = config or settings()
    scorer = Scorer.load(folder)
    example = scorer.reference[[name for name in scorer.columns if name in scorer.reference]].head(3)
    signature = infer_signature(_nullable(example), scorer.table(example))
    mlflow.set_tracking_uri(config.mlflow_uri)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with mlflow.start_run(run_id=run_id):
            info = mlflow.pyfunc.log_model(
                name="scorer",
                python_model=str(Path(__file__).with_name("pyfunc.py")),
                artifacts={"scorer": str(folder)},
                code_paths=[str(Path(__file__).parent)],
                signature=signature,
                pip_requirements=_requirements(scorer),
            )
        api = client(config)
        _ensure_registered(api, use_case)
        created = api.create_model_version(
            use_case, info.model_uri, run_id=run_id, tags={SHA256_TAG: manifest_hash(folder)}, model_id=info.model_id
        )
    return str(created.version)


def manifest_hash(folder: Path) -> str:
    """SHA-256 of a scorer's manifest, which holds the hashes of all its other files."""
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def _nullable(example: pd.DataFrame) -> pd.DataFrame:
    """Whole numbers as floats, so that the signature also admits missing values."""
    numeric = example.select_dtypes("number").columns
    return example.astype(dict.fromkeys(numeric, "float64")).astype(dict.fromkeys(example.columns.difference(numeric), "object"))


def _requirements(scorer: Scorer) -> list[str]:
    packages = [
        "mlflow",
        "numpy",
        "pandas",
        "pyarrow",
        *sorted({member.family for output in scorer.outputs_ for member in output.every_member}),
    ]
    return [f"{package}=={installed_version(package)}" for package in packages]


def _ensure_registered(api: mlflow.MlflowClient, use_case: str) -> None:
    try:
        api.create_registered_model(use_case)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def alias_version(use_case: str, alias: str = CHAMPION, config: Settings | None = None) -> str | None:
    """The version that carries `alias`, None when there is none."""
    found = _aliased(use_case, alias, config)
    return None if found is None else str(found.version)


def champion_version(use_case: str, config: Settings | None = None) -> str | None:
    """The version in force, None when the use case has none yet."""
    return alias_version(use_case, CHAMPION, config)


def _aliased(use_case: str, alias: str, config: Settings | None) -> ModelVersion | None:
    try:
        return client(config).get_model_version_by_alias(use_case, alias)
    except MlflowException as error:
        if error.error_code in GONE:
            return None
        raise


def load_champion(use_case: str, config: Settings | None = None) -> LoadedModel:
    """Load `models:/<use_case>@champion` with our own Scorer: no code of the registry runs.

    Raises:
        NoChampion: nothing has been promoted yet.
        DamagedModel: its files are not the registered ones.
    """
    version = champion_version(use_case, config)
    if version is None:
        raise NoChampion(f"{use_case} has no champion: {_why_none(use_case, config)}")
    return load_version(use_case, version, config)


def _why_none(use_case: str, config: Settings | None) -> str:
    """What to do about a model without a champion: train it, or read why its newest version was refused."""
    found = client(config).search_model_versions(f"name = '{use_case}'", max_results=1, order_by=["version_number DESC"])
    if found:
        verdict = found[0].tags.get(GATE_TAG, "has not been judged yet")
        return f"version {found[0].version} {verdict}; the report in MLflow shows what it learned"
    if use_case in USE_CASES:
        return "train it first (make pipeline, or the train flow)"
    return f"train it first (make train NAME={use_case} TABLE=… TARGET=… KIND=…)"


def load_version(use_case: str, version: str, config: Settings | None = None) -> LoadedModel:
    """Load a version, from the local copy when an intact one is there, otherwise from the registry."""
    config = config or settings()
    registered = client(config).get_model_version(use_case, version)
    folder = download(registered, config)
    sha256 = registered.tags[SHA256_TAG]
    scorer = Scorer.load(folder, sha256)
    return LoadedModel(use_case, version, scorer, sha256, now(), f"models:/{use_case}/{version}")


def download(registered: ModelVersion, config: Settings) -> Path:
    """The scorer folder of a version, copied into `var/models` once; a torn copy is never left under its final name."""

    def fetch(into: Path) -> None:
        mlflow.set_tracking_uri(config.mlflow_uri)
        with tempfile.TemporaryDirectory(dir=into.parent) as scratch:
            uri = f"models:/{registered.name}/{registered.version}"
            copy_scorer(Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=scratch)), into)

    listed = Registered(registered.name, str(registered.version), registered.tags.get(SHA256_TAG))
    return Copies(registered.name, config).take(listed, fetch)


def log_results(run_id: str, params: Mapping[str, Any], metrics: Mapping[str, float], tables: Mapping[str, Any]) -> None:
    """Write a training run's parameters, metrics and JSON tables to MLflow."""
    api = client()
    for name, value in params.items():
        api.log_param(run_id, name, str(value)[:500])
    for name, figure in metrics.items():
        api.log_metric(run_id, name, figure)
    for name, table in tables.items():
        api.log_text(run_id, json.dumps(table, ensure_ascii=False, indent=1, default=str), f"{name}.json")


def log_page(run_id: str, name: str, html: str) -> None:
    """Attach an HTML page to a training run."""
    client().log_text(run_id, html, name)


def log_version_page(use_case: str, version: str, name: str, page: Path, config: Settings | None = None) -> None:
    """Attach an HTML file to the run that trained a version, as `name`; one of the same name is replaced."""
    api = client(config)
    run_id = api.get_model_version(use_case, version).run_id
    if run_id is not None:
        api.log_text(run_id, page.read_text(encoding="utf-8"), name)


def describe_version(use_case: str, version: str, card: str) -> None:
    """Make the model card the description of a version."""
    client().update_model_version(use_case, version, card)


def log_picture(run_id: str, name: str, png: bytes) -> None:
    """Attach a PNG to a training run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(png)
        client().log_artifact(run_id, str(path), "pictures")


if __name__ == "__main__":
    client()
