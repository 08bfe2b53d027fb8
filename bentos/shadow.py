"""The challenger in shadow: it scores a share of the live requests as well, off their path, and nobody is told but the journal.

The request path calls one thing, once its rows are durable and whatever the use case:

    backend.shadow.offer(rows)   # the JournalRows that were kept

which costs a comparison when there is no challenger, else a draw and an append. It never blocks and never raises.
"""

from __future__ import annotations

import logging
import os
import random
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bentos.serving.model_figures import CHALLENGERS, FAILURES, SHADOW_ROWS, SHADOW_WAITING, Serving
from bentos.serving.rows import frame_of
from monitoring.journal import Journal, JournalClosed, JournalFull, JournalNotWritten, JournalRow, UnfitRow
from monitoring.rows import OK
from registry.copies import Copies
from registry.reader import CHALLENGER, CHAMPION, Registered, RegistryReader, registry_reader
from settings import Settings

if TYPE_CHECKING:
    from registry.loading import LoadedModel

SOURCE = "shadow"
_GATHER_SECONDS = 1.0
"""Rows are scored together once in this time: one short burst touches fewer requests than a row here and a row there."""
_MOST_TOGETHER = 256
_RETRY_SECONDS = 30.0
_NICENESS = 10

logger = logging.getLogger("opora.shadow")


class Shadow:
    """Follows the alias `challenger` and scores offered rows with it, in a thread of its own with lower priority.

    Its rows in the journal carry source "shadow", `is_simulation` (so that drift and quality leave them out), the challenger's
    version, and the `score_id` of the row they shadow followed by ".shadow.<version>".

    Args:
        use_case: registered model.
        config: `shadow_share`, `shadow_queue` and how often to ask for the challenger.
        journal: takes the shadow rows; closed after this has stopped.
    """

    def __init__(self, use_case: str, config: Settings, journal: Journal) -> None:
        self.use_case = use_case
        self._config = config
        self._journal = journal
        self._copies = Copies(use_case, config)
        self._reader: RegistryReader | None = None
        self._info = Serving(CHALLENGERS, use_case)
        self._model: LoadedModel | None = None
        self._failed: Registered | None = None
        self._retry_at = 0.0
        self._waiting: deque[JournalRow] = deque()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"shadow-{use_case}", daemon=True)

    @property
    def version(self) -> str | None:
        """The challenger that scores at present."""
        model = self._model
        return None if model is None else model.version

    def start(self) -> None:
        """Begin to follow the challenger; returns at once. With a share of 0 nothing is started."""
        if self._config.shadow_share > 0:
            self._thread.start()

    def stop(self) -> None:
        """End the thread once what it is scoring is done; rows that wait are forgotten."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(_GATHER_SECONDS + 1)  # a challenger that hangs must not keep the service from ending

    def offer(self, rows: Sequence[JournalRow]) -> None:
        """Perhaps have the challenger score the kept rows of one request; all of them or none."""
        if self._model is None or random.random() >= self._config.shadow_share:  # noqa: S311 - a sample, no secret
            return
        drawn = [row for row in rows if row.status == OK and not row.is_simulation]
        if len(self._waiting) + len(drawn) > self._config.shadow_queue:
            SHADOW_ROWS.labels(self.use_case, "dropped").inc(len(drawn))
        else:
            self._waiting.extend(drawn)

    def _run(self) -> None:
        if sys.platform == "linux":  # where niceness belongs to a thread
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        look_at = 0.0
        while not self._stopped.is_set():
            if time.monotonic() >= look_at:
                self._look()
                look_at = time.monotonic() + self._config.champion_poll_seconds
            self._score_waiting()
            self._stopped.wait(min(_GATHER_SECONDS, self._config.champion_poll_seconds))

    def _look(self) -> None:
        """Take the challenger into memory, or out of it when there is none or it has become champion."""
        wanted: Registered | None = None
        try:
            if self._reader is None:
                self._reader = registry_reader(self._config)
            wanted = self._reader.aliased(self.use_case, CHALLENGER)
            if wanted is not None and wanted == self._reader.aliased(self.use_case, CHAMPION):
                wanted = None
            self._follow(wanted)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a challenger, the champion must not notice
            if self._failed != wanted:  # an unreachable registry is the champion's to complain about
                FAILURES.labels(self.use_case, type(error).__name__).inc()
                logger.error("%s: challenger: %s: %s; no shadow", self.use_case, type(error).__name__, error)
            self._failed, self._retry_at = wanted, time.monotonic() + _RETRY_SECONDS

    def _follow(self, wanted: Registered | None) -> None:
        model = self._model
        if wanted is None:
            self._use(None)
        elif (model is None or model.registered != wanted) and (wanted != self._failed or time.monotonic() >= self._retry_at):
            from registry.loading import load_for_service  # a booster library: only where there is a challenger

            self._use(None)
            self._use(load_for_service(wanted, self._copies, self._reader, self._config))
            self._failed = None
            logger.info("%s: version %s scores in shadow", self.use_case, wanted.version)

    def _use(self, model: LoadedModel | None) -> None:
        self._model = model
        self._info.now(None if model is None else model.version)
        if model is None:
            self._waiting.clear()

    def _score_waiting(self) -> None:
        model = self._model
        while model is not None and self._waiting and not self._stopped.is_set():
            rows = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_TOGETHER))]
            outcome = "lost"
            try:
                complete = [row for row in rows if all(name in row.features for name in model.scorer.columns)]
                SHADOW_ROWS.labels(self.use_case, "incomplete").inc(len(rows) - len(complete))
                rows = complete
                if rows:
                    kept = self._scored(model, rows)
                    self._journal.write(kept)
                    outcome = "scored" if kept[0].status == OK else "failed"
            except (JournalFull, JournalClosed, JournalNotWritten, UnfitRow):
                logger.warning("%s: the journal did not take %s shadow rows", self.use_case, len(rows))
            SHADOW_ROWS.labels(self.use_case, outcome).inc(len(rows))
        SHADOW_WAITING.labels(self.use_case).set(len(self._waiting))

    def _scored(self, model: LoadedModel, rows: Sequence[JournalRow]) -> list[JournalRow]:
        started = time.perf_counter()
        error = None
        scores: list[dict[str, Any] | None] = [None] * len(rows)
        try:
            table = model.scorer.table(frame_of(*({name: row.features[name] for name in model.scorer.columns} for row in rows)))
            scores = list(table.to_dict("records"))  # type: ignore[arg-type]
        except Exception as failure:  # noqa: BLE001 - a challenger that cannot score is news for the journal, not for the caller
            error = type(failure).__name__
        each = (time.perf_counter() - started) * 1000 / len(rows)
        return [
            replace(
                row,
                source=SOURCE,
                score=score,
                decision=None,
                model_version=model.version,
                latency_ms=each,
                is_simulation=True,
                status=OK if error is None else "failed",
                error=error,
                score_id=f"{row.score_id}.shadow.{model.version}",
            )
            for row, score in zip(rows, scores, strict=True)
        ]
