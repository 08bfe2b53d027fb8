"""Judging payments: one in microseconds, many at once; every score is durable in the journal before it is given out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bentos.fraud.requests import RiskLevel
from bentos.fraud.rows import FraudRows, Payment, Payments
from bentos.serving.away import AWAY, database_away
from bentos.serving.backend import Backend
from clock import now
from edge.pepper import ConfigurationError
from features.layouts import Layout, layout_of
from identifiers import new_ids
from monitoring.batches import JournalBatch
from monitoring.rows import JournalRow
from settings import Settings

if TYPE_CHECKING:
    from registry.fast import FastScorer
    from registry.loading import LoadedModel

OUTPUT = "fraud"


def borders(thresholds: Mapping[str, float], config: Settings) -> tuple[float, float]:
    """Where "medium" and "high" begin: the thresholds stored with the model, each of which a setting may override."""
    medium = thresholds["medium"] if config.risk_threshold_medium is None else config.risk_threshold_medium
    high = thresholds["high"] if config.risk_threshold_high is None else config.risk_threshold_high
    return medium, high


def risk_levels(probabilities: Sequence[float], limits: tuple[float, float]) -> list[RiskLevel]:
    """The level of each probability; where both borders are reached, "high"."""
    medium, high = limits
    return ["high" if one >= high else "medium" if one >= medium else "low" for one in probabilities]


def check_thresholds(config: Settings) -> None:
    """Refuse overrides that leave no room for "medium".

    Raises:
        ConfigurationError: medium lies above high.
    """
    medium, high = config.risk_threshold_medium, config.risk_threshold_high
    if medium is not None and high is not None and medium > high:
        raise ConfigurationError(
            f"OPORA_RISK_THRESHOLD_MEDIUM ({medium:g}) is above OPORA_RISK_THRESHOLD_HIGH ({high:g}): swap or drop one"
        )


@dataclass(frozen=True)
class Prepared:
    """A model version with everything that requests need ready."""

    model: LoadedModel
    fast: FastScorer
    rows: FraudRows
    layout: Layout
    borders: tuple[float, float]


@dataclass(frozen=True)
class Judged:
    """Scores of one request, in the order of its payments; `batch` is what the journal keeps of them."""

    batch: JournalBatch
    prepared: Prepared

    def answers(self) -> list[dict[str, Any]]:
        """One `TransactionScoringResponse` for each payment, as plain dictionaries."""
        version = self.batch.model_version
        return [
            {"fraud_probability": probability, "risk_level": level, "model_version": version, "score_id": score_id}
            for probability, level, score_id in zip(self.batch.scores, self.batch.decisions, self.batch.score_ids, strict=True)
        ]


class FraudDesk:
    """Scores payments with the champion of `backend`; safe to share between threads."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._ready: tuple[Prepared, ...] = ()  # the newest two: at a swap requests still run on the version before
        backend.before_serving(self.prepare)

    def prepare(self, model: LoadedModel) -> Prepared:
        """Make a version ready for requests; the follower does it before the version serves."""
        from registry.fast import FastScorer  # pandas and the boosters: what the start need not wait for

        fast = FastScorer(model.scorer)
        limits = borders(model.scorer.thresholds[OUTPUT], self._backend.config)
        prepared = Prepared(model, fast, FraudRows(fast.columns), layout_of(fast.columns), limits)
        self._ready = (prepared, *self._ready[:1])
        return prepared

    def judge(self, payment: Payment, known: Mapping[str, Any], started: float) -> Judged:
        """Score one payment, without keeping it.

        Args:
            payment: what was asked.
            known: online values of its client by name.
            started: `time.perf_counter()` of the request's arrival.

        Raises:
            RequestRefused: 503, there is no champion.
        """
        prepared, at = self._prepared(), now()
        values = prepared.rows.one(payment, known, at)
        try:
            probability = cast(float, prepared.fast.predict_one(prepared.fast.vector(values))[OUTPUT])
        except Exception as error:
            self._keep_failure(prepared, [values], [payment.client_id], started, error)
            raise
        return self._judged(prepared, np.array([values], dtype=np.float64), [probability], [payment.client_id], started)

    def judge_all(self, payments: Payments, started: float) -> Judged:
        """Score the payments of a batch, without keeping them; looks their clients up."""
        prepared, at = self._prepared(), now()
        clients = {client for client in payments.client_ids if client is not None}
        try:
            known = self._backend.online.numbers_of(OUTPUT, clients)
        except AWAY as error:
            raise database_away(error) from error
        rows = prepared.rows.several(payments, known, at)
        try:
            probabilities = prepared.fast.predict(rows.astype(np.float32))[OUTPUT]
        except Exception as error:
            self._keep_failure(prepared, rows.tolist(), payments.client_ids, started, error)
            raise
        return self._judged(prepared, rows, probabilities.tolist(), payments.client_ids, started)

    def known(self, client_id: str | None) -> Mapping[str, Any]:
        """Online values of a client by name; none when nothing is known.

        Raises:
            RequestRefused: 503, the database does not answer.
        """
        try:
            row = None if client_id is None else self._backend.online.get(OUTPUT, client_id)
        except AWAY as error:
            raise database_away(error) from error
        return {} if row is None else row.values

    def score(self, payment: Payment) -> Judged:
        """Score one payment; its journal row is durable when this returns."""
        started = time.perf_counter()
        judged = self.judge(payment, self.known(payment.client_id), started)
        self._backend.keep(judged.batch)
        return judged

    def score_all(self, payments: Payments, started: float) -> Judged:
        """Score a batch; all its journal rows are durable when this returns."""
        judged = self.judge_all(payments, started)
        self._backend.keep(judged.batch)
        return judged

    def _prepared(self) -> Prepared:
        model = self._backend.champion.model()
        ready = next((one for one in self._ready if one.model.scorer is model.scorer), None)
        return self.prepare(model) if ready is None else ready

    def _judged(
        self,
        prepared: Prepared,
        rows: np.ndarray,
        probabilities: Sequence[float],
        client_ids: Sequence[str | None],
        started: float,
    ) -> Judged:
        batch = JournalBatch(
            use_case=OUTPUT,
            source="api",
            layout=prepared.layout,
            features=rows,
            output=OUTPUT,
            scores=probabilities,
            decisions=risk_levels(probabilities, prepared.borders),
            client_ids=client_ids,
            score_ids=new_ids(len(rows)),
            model_version=prepared.model.version,
            latency_ms=(time.perf_counter() - started) * 1000,
        )
        return Judged(batch, prepared)

    def _keep_failure(
        self,
        prepared: Prepared,
        rows: Sequence[Sequence[float | None]],
        client_ids: Sequence[str | None],
        started: float,
        error: Exception,
    ) -> None:
        names, said = prepared.layout.names, type(error).__name__
        failed: list[JournalRow] = [
            self._backend.row(prepared.model, dict(zip(names, row, strict=True)), None, started, client_id, error=said)
            for row, client_id in zip(rows, client_ids, strict=True)
        ]
        self._backend.keep(failed)
