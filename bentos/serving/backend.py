"""What stands behind a service: its champion, the journal and the online features, opened when the service starts."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bentos.champion import ChampionFollower
from bentos.serving.rows import records_of
from bentos.shadow import Shadow
from database import open_database
from edge.errors import RequestRefused
from edge.keys import check_binding, check_clock, keys_path
from features.online import OnlineStore
from monitoring.journal import Journal, JournalClosed, JournalFull, JournalNotWritten, JournalRow
from monitoring.rows import open_journal
from settings import Settings

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sqlalchemy import Engine

    from registry.loading import LoadedModel

logger = logging.getLogger("opora.scoring")


class Backend:
    """The state of one scoring service; made at import, opened by `start`.

    Attributes:
        use_case: income, prescoring, recommendation or fraud.
        champion: follows the version in force.
        journal: where every score goes before its answer leaves.
        online: newest feature rows of the clients.
        shadow: lets the challenger score a share of what the champion scored.

    Raises:
        ConfigurationError: the service would be open to strangers.
    """

    journal: Journal
    online: OnlineStore
    shadow: Shadow

    def __init__(self, use_case: str, config: Settings) -> None:
        check_binding(config.host, config.api_keys, keys_path(config))
        check_clock(config.host)
        self.use_case = use_case
        self.config = config
        self.champion = ChampionFollower(use_case, config, self._prepare)
        self._preparations: list[Callable[[LoadedModel], object]] = []

    @cached_property
    def journal_database(self) -> Engine:
        """Where the journal lies, for whatever else reads or labels its rows; opened when it is first needed."""
        return open_journal(self.config)

    def before_serving(self, prepare: Callable[[LoadedModel], object]) -> None:
        """Have `prepare` called with every version before it serves; a version for which it fails never does."""
        self._preparations.append(prepare)

    def start(self) -> None:
        """Open the databases and begin to follow the champion."""
        self.journal = Journal(self.journal_database)
        self.online = OnlineStore(open_database(self.config.database("online")))
        self.shadow = Shadow(self.use_case, self.config, self.journal)
        self.champion.start()
        self.shadow.start()

    def stop(self) -> None:
        """Write what the journal still holds and end the threads."""
        self.champion.stop()
        self.shadow.stop()
        self.journal.close()

    def predict(self, model: LoadedModel, frame: pd.DataFrame, started: float, client_id: str | None) -> dict[str, np.ndarray]:
        """Predictions of `model`; a failure inside it is journalled too, and raised."""
        try:
            return model.scorer.predict(frame)
        except Exception as error:
            said = type(error).__name__
            self.keep([self.row(model, features, None, started, client_id, error=said) for features in records_of(frame)])
            raise

    def row(
        self,
        model: LoadedModel,
        features: Mapping[str, Any],
        score: Mapping[str, float] | None,
        started: float,
        client_id: str | None,
        decision: Mapping[str, str] | None = None,
        error: str | None = None,
    ) -> JournalRow:
        """A journal row of this service; `started` is the `time.perf_counter()` of the request's arrival."""
        return JournalRow(
            use_case=self.use_case,
            source="api",
            features=features,
            score=score,
            model_version=model.version,
            latency_ms=(time.perf_counter() - started) * 1000,
            decision=decision,
            client_id=client_id,
            status="ok" if error is None else "failed",
            error=error,
        )

    def keep(self, rows: Sequence[JournalRow]) -> None:
        """Write rows to the journal; when this returns they survive a power cut.

        Raises:
            RequestRefused: 503, the journal cannot take them, so the score must not leave either.
        """
        try:
            self.journal.write(rows)
        except (JournalFull, JournalClosed, JournalNotWritten) as error:
            raise self._unavailable(error) from error
        self.shadow.offer(rows)

    async def keep_async(self, rows: Sequence[JournalRow]) -> None:
        """`keep` for a handler on the event loop."""
        try:
            await self.journal.write_async(rows)
        except (JournalFull, JournalClosed, JournalNotWritten) as error:
            raise self._unavailable(error) from error
        self.shadow.offer(rows)

    def _prepare(self, model: LoadedModel) -> None:
        for prepare in self._preparations:
            prepare(model)
        if not gc.get_freeze_count():  # libraries and first model are here to stay: no collection need look through them again
            gc.collect()
            gc.freeze()

    def _unavailable(self, error: Exception) -> RequestRefused:
        logger.error("%s: %s", self.use_case, error)
        message = "the journal cannot keep this score at the moment, so it is not given out: send the request again"
        return RequestRefused(503, "journal_unavailable", message, headers={"Retry-After": "1"})
