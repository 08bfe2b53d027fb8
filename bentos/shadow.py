"""The challenger in shadow: it scores a share of the live requests as well, off their path, and nobody is told but the journal.

The request path calls one thing, once its rows are durable and whatever the use case:

    backend.shadow.offer(rows)   # the JournalRows that were kept

which costs a comparison when there is no challenger, else a draw and an append. It never blocks and never raises.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bentos.challenger import Challenger, ChallengerEnded, ChallengerRefused, ScoringFailed
from bentos.serving.model_figures import CHALLENGERS, FAILURES, SHADOW_ROWS, SHADOW_WAITING, Serving
from monitoring.health import SHADOW
from monitoring.journal import Journal, JournalClosed, JournalFull, JournalNotWritten, JournalRow, UnfitRow
from monitoring.rows import OK
from registry.copies import Copies
from registry.reader import CHALLENGER, CHAMPION, Registered, RegistryReader, RegistryUnreachable, registry_reader
from settings import Settings

_GATHER_SECONDS = 1.0
"""Rows are scored together once in this time: one short burst touches fewer requests than a row here and a row there."""
_MOST_TOGETHER = 256
_RETRY_SECONDS = 30.0

logger = logging.getLogger("opora.shadow")


class Shadow:
    """Follows the alias `challenger` and has offered rows scored by it: a thread here, the challenger in a process of its own.

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
        self._challenger: Challenger | None = None
        self._failed: Registered | None = None
        self._retry_at = 0.0
        self._waiting: deque[JournalRow] = deque()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"shadow-{use_case}", daemon=True)

    @property
    def version(self) -> str | None:
        """The challenger that scores at present."""
        challenger = self._challenger
        return challenger.registered.version if challenger is not None and challenger.columns else None

    def start(self) -> None:
        """Begin to follow the challenger; returns at once. With a share of 0 nothing is started."""
        if self._config.shadow_share > 0:
            self._thread.start()

    def stop(self) -> None:
        """End the challenger and the thread; rows that wait are forgotten."""
        self._stopped.set()
        challenger = self._challenger
        if challenger is not None:
            challenger.close()  # whoever waits for its answer need not any more
        if self._thread.ident is not None:
            self._thread.join(_GATHER_SECONDS + 1)

    def offer(self, rows: Sequence[JournalRow]) -> None:
        """Perhaps have the challenger score the kept rows of one request; all of them or none."""
        if self.version is None or random.random() >= self._config.shadow_share:  # noqa: S311 - a sample, no secret
            return
        if len(self._waiting) + len(rows) > self._config.shadow_queue:  # before any row of a batch is made
            SHADOW_ROWS.labels(self.use_case, "dropped").inc(len(rows))
        else:
            self._waiting.extend([row for row in rows if row.status == OK and not row.is_simulation])

    def _run(self) -> None:
        look_at = 0.0
        while not self._stopped.is_set():
            if time.monotonic() >= look_at:
                self._look()
                look_at = time.monotonic() + self._config.champion_poll_seconds
            self._score_waiting()
            self._stopped.wait(min(_GATHER_SECONDS, self._config.champion_poll_seconds))
        self._use(None)

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
        except RegistryUnreachable:  # the champion's to complain about; what scores goes on
            return
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a challenger, the champion must not notice
            kind = error.kind if isinstance(error, ChallengerRefused) else type(error).__name__
            if self._failed != wanted:
                self._complain(kind, error)
            self._give_up(wanted)

    def _follow(self, wanted: Registered | None) -> None:
        current = None if self._challenger is None else self._challenger.registered
        if wanted is None:
            self._use(None)
        elif current != wanted and (wanted != self._failed or time.monotonic() >= self._retry_at):
            from registry.loading import fetched  # pandas: only where there is a challenger

            self._use(Challenger(wanted, fetched(wanted, self._copies, self._reader, self._config)))
            self._failed = None
            logger.info("%s: version %s scores in shadow", self.use_case, wanted.version)

    def _use(self, challenger: Challenger | None) -> None:
        """Let go of the challenger so far, and take another one, which has to become ready."""
        before, self._challenger = self._challenger, challenger
        self._waiting.clear()
        if before is not None:
            before.close()
        if challenger is not None:
            challenger.wait_ready()
        self._info.now(self.version)

    def _give_up(self, registered: Registered | None) -> None:
        self._use(None)
        self._failed, self._retry_at = registered, time.monotonic() + _RETRY_SECONDS

    def _complain(self, kind: str, error: Exception) -> None:
        FAILURES.labels(self.use_case, kind).inc()
        logger.error("%s: challenger: %s: %s; no shadow", self.use_case, kind, error)

    def _score_waiting(self) -> None:
        challenger = self._challenger
        while challenger is not None and self._waiting and not self._stopped.is_set():
            rows = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_TOGETHER))]
            complete = [row for row in rows if all(name in row.features for name in challenger.columns)]
            SHADOW_ROWS.labels(self.use_case, "incomplete").inc(len(rows) - len(complete))
            if complete:
                SHADOW_ROWS.labels(self.use_case, self._outcome(challenger, complete)).inc(len(complete))
            challenger = self._challenger
        SHADOW_WAITING.labels(self.use_case).set(len(self._waiting))

    def _outcome(self, challenger: Challenger, rows: Sequence[JournalRow]) -> str:
        """Have rows scored and kept; what became of them, as the metric says it."""
        try:
            kept = self._scored(challenger, rows)
            self._journal.write_unawaited(kept)
        except ChallengerEnded as error:
            if not self._stopped.is_set():
                self._complain(type(error).__name__, error)
            self._give_up(challenger.registered)
        except (JournalFull, JournalClosed, JournalNotWritten, UnfitRow):
            logger.warning("%s: the journal did not take %s shadow rows", self.use_case, len(rows))
        else:
            return "scored" if kept[0].status == OK else "failed"
        return "lost"

    def _scored(self, challenger: Challenger, rows: Sequence[JournalRow]) -> list[JournalRow]:
        started = time.perf_counter()
        error = None
        scores: Sequence[dict[str, Any] | None] = [None] * len(rows)
        try:
            scores = challenger.scores([[row.features[name] for name in challenger.columns] for row in rows])
        except ScoringFailed as failure:  # news for the journal
            error = str(failure)
        each = (time.perf_counter() - started) * 1000 / len(rows)
        version = challenger.registered.version
        return [
            replace(
                row,
                source=SHADOW,
                score=score,
                decision=None,
                model_version=version,
                latency_ms=each,
                is_simulation=True,
                status=OK if error is None else "failed",
                error=error,
                score_id=f"{row.score_id}.shadow.{version}",
            )
            for row, score in zip(rows, scores, strict=True)
        ]
