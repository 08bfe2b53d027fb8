"""Following the champion: the version in force is loaded beside the old one and takes over in one step."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from edge.errors import RequestRefused
from settings import Settings

if TYPE_CHECKING:
    from registry.models import LoadedModel

_RETRY_SECONDS = 30.0
"""How long a version that could not be loaded is left alone, unless another one becomes champion."""

logger = logging.getLogger("opora.champion")


class ChampionFollower:
    """Asks every `settings.champion_poll_seconds` which version of a use case is champion, and serves that one.

    A version that cannot be loaded never serves: the one before stays, and the log says why. Start without a champion is allowed;
    the first one is picked up when it exists.
    """

    def __init__(self, use_case: str, config: Settings) -> None:
        self.use_case = use_case
        self._config = config
        self._current: LoadedModel | None = None
        self._complaint = ""
        self._failing = ""
        self._retry_at = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"champion-{use_case}", daemon=True)

    def start(self) -> None:
        """Begin to follow, in a thread of its own; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, waiting for a load that is under way."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def ready(self) -> bool:
        """Whether a champion is loaded."""
        return self._current is not None

    def model(self) -> LoadedModel:
        """The champion in force; hold on to it for the whole request, so that one answer comes from one version.

        Raises:
            RequestRefused: 503, no champion yet.
        """
        current = self._current
        if current is None:
            raise RequestRefused(
                503,
                "no_champion",
                f"no {self.use_case} model is in force yet: run the pipeline (make pipeline) or the train flow, then try again",
                headers={"Retry-After": str(max(1, round(self._config.champion_poll_seconds)))},
            )
        return current

    def look(self) -> None:
        """Ask once for the champion and load it if it is another version than the one that serves."""
        from registry.models import champion_version, load_version  # imports MLflow: seconds that the start need not wait for

        version = champion_version(self.use_case, self._config)
        known = self._current.version if self._current else None
        if version is None or version == known or (version == self._failing and time.monotonic() < self._retry_at):
            return
        self._failing, self._retry_at = version, time.monotonic() + _RETRY_SECONDS
        self._current = load_version(self.use_case, version, self._config)
        self._failing, self._complaint = "", ""
        logger.info("%s: version %s serves now", self.use_case, version)

    def _follow(self) -> None:
        while not self._stopped.is_set():
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - nothing that goes wrong with a new version may end the following
                self._complain(error)
            self._stopped.wait(self._config.champion_poll_seconds)

    def _complain(self, error: Exception) -> None:
        complaint = f"{self._failing} {type(error).__name__}"
        if complaint != self._complaint:  # once, not at every poll
            serving = "no version serves" if self._current is None else f"version {self._current.version} keeps serving"
            tried = f"version {self._failing}" if self._failing else "the registry"
            logger.error("%s: %s: %s: %s; %s", self.use_case, tried, type(error).__name__, error, serving)
        self._complaint = complaint
