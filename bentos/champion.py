"""Following the champion: the version in force is loaded beside the old one and takes over in one step."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from bentos.serving.model_figures import CHAMPIONS, FAILURES, REGISTRY_SEEN, SWAPS, Serving
from clock import now
from edge.errors import RequestRefused
from registry.copies import Copies
from registry.reader import CHALLENGER, CHAMPION, Registered, RegistryReader, RegistryUnreachable, registry_reader
from settings import Settings

if TYPE_CHECKING:
    from registry.loading import LoadedModel

RETRY_SECONDS = 30.0
"""How long a version that could not be loaded is left alone, unless another one becomes champion."""

_TIDY_SECONDS = 600.0

logger = logging.getLogger("opora.champion")


@dataclass(frozen=True)
class Following:
    """How fresh what is known about the registry is; `seen_at` is None when it has not answered since the start."""

    seen_at: datetime | None
    stale_seconds: float | None


class ChampionFollower:
    """Asks every `settings.champion_poll_seconds` which version of a use case is champion, and serves that one.

    A version serves when its files are the registered ones and its golden rows come out as recorded. One that does not never
    serves: the one before stays, the log says why, and a metric counts it. Start without a champion is allowed; the first one is
    picked up when it exists. While the registry does not answer, what serves goes on serving; after a restart that is the
    last good version, from its local copy.

    Args:
        use_case: registered model.
        config: says how often to ask, and where registry and copies lie.
        prepare: called with a version that has passed all checks, before it serves; what it raises keeps the version out.
    """

    def __init__(self, use_case: str, config: Settings, prepare: Callable[[LoadedModel], None] | None = None) -> None:
        self.use_case = use_case
        self._config = config
        self._prepare = prepare
        self._copies = Copies(use_case, config)
        self._reader: RegistryReader | None = None
        self._serving = Serving(CHAMPIONS, use_case)
        self._current: LoadedModel | None = None
        self._seen: tuple[datetime, float] | None = None
        self._tried: Registered | None = None
        self._retry_at = 0.0
        self._tidy_at = 0.0
        self._complaint = ""
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

    @property
    def following(self) -> Following:
        """When the registry answered last, and how many seconds ago."""
        seen = self._seen
        return Following(None, None) if seen is None else Following(seen[0], time.monotonic() - seen[1])

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
        """Ask once for the champion and load it if it is another version than the one that serves.

        Raises:
            RegistryUnreachable: the registry does not answer; with nothing in memory yet, the last good version was tried.
            Exception: what stands against the version, see `registry.loading.load_for_service`.
        """
        try:
            if self._reader is None:
                self._reader = registry_reader(self._config)
            registered = self._reader.aliased(self.use_case, CHAMPION)
        except RegistryUnreachable:
            if self._current is None:
                self._load_last_good()
            raise
        self._seen = now(), time.monotonic()
        REGISTRY_SEEN.labels(self.use_case).set_to_current_time()
        if registered is None:
            return
        if not self._confirmed(registered):
            if not self._worth_trying(registered):
                return
            self._try(registered, self._reader)
            self._tidy_at = 0.0
        self._copies.remember(registered)
        if time.monotonic() >= self._tidy_at:
            self._tidy(self._reader)

    def _confirmed(self, registered: Registered) -> bool:
        """Whether the registry says what serves already; then a copy from the cache is as good as fetched."""
        current = self._current
        if current is None or current.registered != registered:
            return False
        if current.source == "cache":
            self._current = replace(current, source=f"models:/{registered.name}/{registered.version}")
        self._tried, self._complaint = None, ""
        return True

    def _worth_trying(self, registered: Registered) -> bool:
        return registered != self._tried or time.monotonic() >= self._retry_at

    def _load_last_good(self) -> None:
        registered = self._copies.last_good()
        if registered is not None and self._worth_trying(registered):
            self._try(registered, None)

    def _try(self, registered: Registered, reader: RegistryReader | None) -> None:
        self._tried, self._retry_at = registered, time.monotonic() + RETRY_SECONDS
        try:
            self._take_over(registered, reader)
        except RegistryUnreachable:
            self._retry_at = 0.0  # the version may be as good as any
            raise
        self._tried = None

    def _take_over(self, registered: Registered, reader: RegistryReader | None) -> None:
        from registry.loading import load_for_service  # a booster library: what the start need not wait for
        from registry.scorer import DamagedModel

        try:
            loaded = load_for_service(registered, self._copies, reader, self._config)
            if self._prepare is not None:
                self._prepare(loaded)
        except Exception as error:
            FAILURES.labels(self.use_case, type(error).__name__).inc()
            if isinstance(error, DamagedModel) and reader is not None:
                self._copies.discard(registered)  # the next attempt fetches it again
            raise
        if self._current is not None:
            SWAPS.labels(self.use_case).inc()
        self._current = loaded
        self._serving.now(loaded.version)
        self._complaint = ""
        logger.info("%s: version %s serves now (%s)", self.use_case, loaded.version, loaded.source)

    def _tidy(self, reader: RegistryReader) -> None:
        challenger = reader.aliased(self.use_case, CHALLENGER)
        current = self._current
        needed = [one for one in (challenger, current.registered if current else None) if one is not None]
        self._copies.tidy(needed)
        self._tidy_at = time.monotonic() + _TIDY_SECONDS

    def _follow(self) -> None:
        while not self._stopped.is_set():
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - nothing that goes wrong with a new version may end the following
                self._complain(error)
            self._stopped.wait(self._config.champion_poll_seconds)

    def _complain(self, error: Exception) -> None:
        tried = "the registry"
        if self._tried is not None and not isinstance(error, RegistryUnreachable):
            tried = f"version {self._tried.version}"
        complaint = f"{tried} {type(error).__name__}"
        if complaint != self._complaint:  # once, not at every poll
            serving = "no version serves" if self._current is None else f"version {self._current.version} keeps serving"
            logger.error("%s: %s: %s: %s; %s", self.use_case, tried, type(error).__name__, error, serving)
        self._complaint = complaint
