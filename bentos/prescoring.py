"""The prescoring service: one form in, the likely decision of every partner bank out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any, Literal

import bentoml
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from bentos.application import guarded, scoring_app, service_options
from bentos.backend import Backend
from bentos.catalogue import Banks, load_catalogue
from bentos.form import ApplicationForm
from bentos.form_features import FormFeatures
from bentos.offers import Offer, offers
from bentos.reasons import Reason, reasons
from bentos.rows import frame_of, seen_by
from bentos.served import Served
from clock import now
from features.sets import FEATURE_SETS
from settings import settings

if TYPE_CHECKING:
    from registry.models import LoadedModel

Decision = Literal["approve", "decline"]


class BankDecision(BaseModel):
    """What a bank would probably say."""

    probability: float = Field(description="Probability of approval, 0 to 1.")
    decision: Decision = Field(description="approve when the probability reaches the bank's threshold, otherwise decline.")


class PrescoringResult(BaseModel):
    """The likely decisions: one further field for each bank that the model knows (bank_a, bank_b, …)."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())
    __pydantic_extra__: dict[str, BankDecision]

    task_id: str = Field(description="The same form has the same id.")
    offers: list[Offer] = Field(description="Banks that would approve, best first by expected value.")
    reasons: dict[str, list[Reason]] = Field(description="By bank: at most four factors that carried its decision.")
    missing: list[str] = Field(description="Form fields that were not given; the model did without them.")
    model_version: str = Field(description="Registry version that computed it.")
    score_id: str = Field(description="Names the row of the journal.")


class Prescoring:
    """Scores forms over an opened backend."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._banks = load_catalogue(Banks, backend.config.catalogues)
        self._features = FormFeatures()
        self._known = {column.name: column for column in FEATURE_SETS["prescoring"].columns}

    def score(self, form: ApplicationForm) -> PrescoringResult:
        """Every bank's likely decision; the journal row is durable when this returns."""
        started = time.perf_counter()
        model = self._backend.champion.model()
        columns = form.columns()
        row = seen_by(model.scorer, self._features(columns, now().astimezone(UTC).replace(tzinfo=None)))
        predictions = self._backend.predict(model, frame_of(row), started, None)
        decisions = {bank: _decision(model, bank, float(probability[0])) for bank, probability in predictions.items()}
        kept = self._backend.row(
            model,
            row,
            {bank: decision.probability for bank, decision in decisions.items()},
            started,
            None,
            {bank: decision.decision for bank, decision in decisions.items()},
        )
        result = PrescoringResult(
            task_id=form.task_id(),
            **decisions,
            offers=self._offers(form, decisions),
            reasons=self._reasons(model, row, decisions),
            missing=[name for name, value in columns.items() if value is None],
            model_version=model.version,
            score_id=kept.score_id,
        )
        self._backend.keep([kept])
        return result

    def _offers(self, form: ApplicationForm, decisions: Mapping[str, BankDecision]) -> list[Offer]:
        approving = {bank: decision.probability for bank, decision in decisions.items() if decision.decision == "approve"}
        return offers(self._banks, approving, form.loan_amount, form.loan_term)

    def _reasons(
        self, model: LoadedModel, row: Mapping[str, Any], decisions: Mapping[str, BankDecision]
    ) -> dict[str, list[Reason]]:
        frame = frame_of(row)
        return {
            bank: reasons(
                model.scorer.columns,
                model.scorer.contributions(frame, bank)[0],
                decision.decision == "approve",
                self._known,
            )
            for bank, decision in decisions.items()
        }


def _decision(model: LoadedModel, bank: str, probability: float) -> BankDecision:
    approved = probability >= model.scorer.thresholds[bank]["approve"]
    return BankDecision(probability=probability, decision="approve" if approved else "decline")


def prescoring_app(backend: Backend) -> FastAPI:
    """The application of the prescoring service over an opened backend."""
    prescoring = Prescoring(backend)
    app = scoring_app("Opora: prescoring", "The likely decision of every partner bank on one form.", backend)

    @app.post("/prescore", tags=["prescoring"])
    def prescore(form: ApplicationForm) -> PrescoringResult:
        """Decisions, reasons and offers for one form, given bare or as `{"features": {…}}`."""
        return prescoring.score(form)

    return app


BACKEND = Backend("prescoring", settings())


@bentoml.service(**service_options(settings(), 3002))
@bentoml.asgi_app(guarded(prescoring_app(BACKEND), settings()))
class PrescoringService(Served):
    """The prescoring application under BentoML."""

    backend = BACKEND
