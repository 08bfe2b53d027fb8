"""How the income service did in the last 24 hours."""

from __future__ import annotations

import logging
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from bentos.serving.backend import Backend
from bentos.serving.flow_runs import FlowRuns
from clock import now
from edge.errors import RequestRefused
from monitoring.health import model_health

_WINDOW = timedelta(hours=24)

logger = logging.getLogger("opora.income")


class Health(BaseModel):
    """The last 24 hours of the income model; scores of a challenger in shadow are not counted."""

    model_config = ConfigDict(protected_namespaces=())

    requests: int = Field(description="Scores given or tried.")
    failed_requests: int = Field(description="Of these, tried in vain.")
    simulation_share: float | None = Field(description="Share of simulations among the requests; null without requests.")
    unique_clients: int = Field(description="Different clients asked about.")
    mean_latency_ms: float | None = Field(description="From arrival to the score, milliseconds.")
    p95_latency_ms: float | None = Field(description="95 % of the requests took no longer, milliseconds.")
    requests_by_version: dict[str, int] = Field(description="Requests by model version.")
    requests_by_source: dict[str, int] = Field(description="Requests by who asked: api, card, offers, batch.")
    failed_imports: int | None = Field(description="Runs of the ingest flow that failed; null when Prefect cannot be asked.")
    model_loaded: bool = Field(description="Whether this process has a model to predict with.")
    model_version: str | None = Field(description="Registry version that predicts now.")
    feature_count: int | None = Field(description="Features that the model looks at.")


class IncomeHealth:
    """Counts over the journal of an opened backend."""

    def __init__(self, backend: Backend, runs: FlowRuns) -> None:
        self._backend = backend
        self._runs = runs

    def last_day(self) -> Health:
        """The figures up to now."""
        until = now()
        figures = model_health(self._backend.journal_database, "income", until - _WINDOW, until)
        model = self._backend.champion.model() if self._backend.champion.ready else None
        return Health(
            requests=figures.requests,
            failed_requests=figures.failed,
            simulation_share=figures.simulation_share,
            unique_clients=figures.unique_clients,
            mean_latency_ms=figures.mean_latency_ms,
            p95_latency_ms=figures.p95_latency_ms,
            requests_by_version=dict(figures.requests_by_version),
            requests_by_source=dict(figures.requests_by_source),
            failed_imports=self._failed_imports(),
            model_loaded=model is not None,
            model_version=model and model.version,
            feature_count=model and len(model.scorer.columns),
        )

    def _failed_imports(self) -> int | None:
        try:
            return self._runs.failed_since("ingest", now() - _WINDOW)
        except RequestRefused as refused:
            logger.warning("income: failed imports are not known: %s", refused.message)
            return None
