"""Local copies of model versions in `var/models`: made once, remembered as last good, removed when nobody needs them."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path

import orjson
from filelock import FileLock

from registry.reader import Registered
from registry.scorer import DamagedModel, read_manifest
from settings import Settings

_UNUSED_SECONDS = 3600.0
"""A copy that nobody took in this time is not being loaded by anybody."""


class Copies:
    """The copies of one registered model, for all processes of this machine that share `var`."""

    def __init__(self, name: str, config: Settings) -> None:
        self._name = name
        self.folder = config.var / "models" / name
        self._last_good = self.folder / "last-good.json"
        self._lock = FileLock(config.var / "models" / f"{name}.lock")

    def take(self, registered: Registered, fetch: Callable[[Path], None] | None = None) -> Path:
        """The scorer folder of a version; `fetch` fills an empty folder with its files where there is no copy yet.

        A torn copy is never left under the final name. The files are checked by whoever loads them.

        Raises:
            DamagedModel: the version has no hash to check its files by, what was fetched is not what was registered, or there
                is no copy and no `fetch`.
        """
        if registered.sha256 is None:
            raise DamagedModel(
                f"{self._name} version {registered.version} was not registered by Opora: it has no hash to check by"
            )
        target = self.path(registered.version, registered.sha256)
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._touch(target):
            return target
        if fetch is None:
            raise DamagedModel(f"there is no local copy of {self._name} version {registered.version} at {target}")
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="new-") as scratch:
            fresh = Path(scratch) / "scorer"
            fresh.mkdir()
            fetch(fresh)
            read_manifest(fresh, registered.sha256)
            with self._lock:
                if not target.is_dir():  # another process may have come first
                    fresh.rename(target)
                os.utime(target)
        return target

    def path(self, version: str, sha256: str) -> Path:
        """Where the copy of a version lies, or would."""
        return self.folder / f"{version}-{sha256[:12]}"

    def discard(self, registered: Registered) -> None:
        """Remove a copy that turned out to be damaged, so that the next `take` fetches it again."""
        if registered.sha256 is not None:
            with self._lock:
                self._remove(self.path(registered.version, registered.sha256))

    def remember(self, registered: Registered) -> None:
        """Note a version as last good: what serves when the registry does not answer at the next start."""
        if self.last_good() == registered:
            return
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="new-") as scratch:  # of its own: threads share a process id
            fresh = Path(scratch) / self._last_good.name
            with fresh.open("wb") as file:
                file.write(orjson.dumps({"version": registered.version, "sha256": registered.sha256}))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._last_good)

    def last_good(self) -> Registered | None:
        """The version noted last, None when there is none or the note cannot be read."""
        try:
            noted = orjson.loads(self._last_good.read_bytes())
            return Registered(self._name, str(noted["version"]), str(noted["sha256"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def tidy(self, needed: Collection[Registered], unused_seconds: float = _UNUSED_SECONDS) -> None:
        """Remove copies, and what killed downloads left, that are neither needed nor last good nor were taken of late."""
        last = self.last_good()
        kept = {self.path(one.version, one.sha256) for one in (*needed, *([last] if last else [])) if one.sha256}
        with self._lock:
            for folder in self.folder.iterdir():
                if folder.is_dir() and folder not in kept and time.time() - folder.stat().st_mtime > unused_seconds:
                    self._remove(folder)

    def _touch(self, target: Path) -> bool:
        with self._lock:
            if not target.is_dir():
                return False
            os.utime(target)
            return True

    @staticmethod
    def _remove(folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
