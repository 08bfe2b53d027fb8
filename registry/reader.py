"""Reading the registry without MLflow's own client, whose import costs seconds and 100 MiB."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from registry.scorer import DamagedModel
from settings import Settings

CHAMPION = "champion"
CHALLENGER = "challenger"
SHA256_TAG = "opora.sha256"


class RegistryUnreachable(Exception):
    """The registry does not answer; what was loaded from it before goes on serving."""


@dataclass(frozen=True)
class Registered:
    """A version as the registry lists it; `sha256` is that of its manifest, None when it was not registered by us."""

    name: str
    version: str
    sha256: str | None


class RegistryReader(Protocol):
    """Looks versions up and fetches their files.

    Every method raises `RegistryUnreachable` when the registry does not answer.
    """

    def aliased(self, name: str, alias: str) -> Registered | None:
        """The version that carries `alias`, None when none does."""

    def fetch(self, registered: Registered, into: Path) -> None:
        """Copy the files of a version's scorer folder into the empty folder `into`.

        Raises:
            DamagedModel: it has none, or they lie where this reader cannot reach.
        """


def registry_reader(config: Settings) -> RegistryReader:
    """The reader of the configured registry: by HTTP from an MLflow server, otherwise from MLflow's own tables."""
    if urlsplit(config.mlflow_uri).scheme in ("http", "https"):
        from registry.reader_server import ServerReader

        return ServerReader(config.mlflow_uri)
    from registry.reader_tables import TableReader

    return TableReader(config.mlflow_uri)


def local_folder(location: str, name: str, version: str) -> Path:
    """The folder of a `file:` URI or plain path.

    Raises:
        DamagedModel: the files lie elsewhere.
    """
    parts = urlsplit(location)
    if parts.scheme not in ("", "file"):
        raise DamagedModel(
            f"the files of {name} version {version} lie at {parts.scheme}:, where only an MLflow server that hands them out "
            "reaches: start it with --artifacts-destination and set OPORA_MLFLOW_TRACKING_URI to its address"
        )
    return Path(unquote(parts.path))
