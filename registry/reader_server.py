"""The registry read from an MLflow server, by its REST interface."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import orjson

from registry.reader import SHA256_TAG, Registered, RegistryUnreachable, local_folder
from registry.reader_tables import copy_scorer
from registry.scorer import MANIFEST, DamagedModel

_PATIENCE = 2.0
"""Seconds for a look-up: a service that starts with its registry away should be ready soon."""
_DOWNLOAD_PATIENCE = 20.0
"""Seconds without a byte of a file."""

_GONE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_REGISTRY = "/api/2.0/mlflow"
_FILES = "/api/2.0/mlflow-artifacts/artifacts"


class ServerReader:
    """Asks the server at `address`, with the credentials that MLflow's clients take from the environment.

    These are `MLFLOW_TRACKING_TOKEN`, or `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`.
    """

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")
        token, user = os.environ.get("MLFLOW_TRACKING_TOKEN"), os.environ.get("MLFLOW_TRACKING_USERNAME")
        self._client = httpx.Client(
            base_url=self._address,
            timeout=_PATIENCE,
            auth=(user, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user and not token else None,
            headers={"Authorization": f"Bearer {token}"} if token else None,
        )

    def aliased(self, name: str, alias: str) -> Registered | None:
        """One request."""
        answer = self._ask(f"{_REGISTRY}/registered-models/alias", {"name": name, "alias": alias})
        if answer is None:
            return None
        version = answer["model_version"]
        tags = {tag["key"]: tag.get("value") for tag in version.get("tags", ())}
        return Registered(name, str(version["version"]), tags.get(SHA256_TAG))

    def fetch(self, registered: Registered, into: Path) -> None:
        """Download the manifest and the files that it names, through the server; from disk where the server says so."""
        answer = self._ask(
            f"{_REGISTRY}/model-versions/get-download-uri", {"name": registered.name, "version": registered.version}
        )
        if answer is None:
            raise DamagedModel(f"{registered.name} has no version {registered.version} any more: promote another")
        location = urlsplit(answer["artifact_uri"])
        if location.scheme != "mlflow-artifacts":
            copy_scorer(local_folder(answer["artifact_uri"], registered.name, registered.version), into)
            return
        folder = self._scorer_folder(f"{location.path.strip('/')}/artifacts")
        self._download(folder, MANIFEST, into)
        for name in orjson.loads((into / MANIFEST).read_bytes())["files"]:
            if Path(name).name != name:
                raise DamagedModel(f"{MANIFEST} of {registered.name} version {registered.version} names a file outside: {name}")
            self._download(folder, name, into)

    def _scorer_folder(self, artifacts: str) -> str:
        """The folder among a version's artifacts that holds a manifest; MLflow names it after where it was logged from."""
        for entry in self._list(artifacts):
            folder = f"{artifacts}/{entry['path']}"
            if entry.get("is_dir") and any(inner["path"] == MANIFEST for inner in self._list(folder)):
                return folder
        raise DamagedModel(f"{artifacts} holds no {MANIFEST}: the files of this version are gone, so train it again")

    def _list(self, folder: str) -> list[dict[str, Any]]:
        answer = self._ask(_FILES, {"path": folder})
        return [] if answer is None else answer.get("files", [])

    def _download(self, folder: str, name: str, into: Path) -> None:
        try:
            with self._client.stream("GET", f"{_FILES}/{quote(f'{folder}/{name}')}", timeout=_DOWNLOAD_PATIENCE) as response:
                if response.status_code == 404:
                    raise DamagedModel(f"{name} is not among the files of its version any more: restore it or train it again")
                response.raise_for_status()
                with (into / name).open("wb") as file:
                    for chunk in response.iter_bytes():
                        file.write(chunk)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _ask(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any] | None:
        """The answer to a GET; None when the server knows no such thing."""
        try:
            response = self._client.get(path, params=dict(parameters))
            if response.status_code in (400, 404) and orjson.loads(response.content).get("error_code") in _GONE:
                return None
            response.raise_for_status()
            answer: dict[str, Any] = orjson.loads(response.content)
        except (httpx.HTTPError, orjson.JSONDecodeError) as error:
            raise self._unreachable(error) from error
        return answer

    def _unreachable(self, error: Exception) -> RegistryUnreachable:
        status = f" {error.response.status_code}" if isinstance(error, httpx.HTTPStatusError) else ""
        host = urlsplit(self._address).hostname
        return RegistryUnreachable(
            f"the MLflow server at {host} does not answer as it should ({type(error).__name__}{status}): start it, or set "
            "OPORA_MLFLOW_TRACKING_URI and its credentials right"
        )
