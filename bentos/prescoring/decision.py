"""What the model says about one form: every bank's likely decision, its reasons, what to ask for instead, and the offers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bentos.catalogue import load_catalogue
from bentos.prescoring.alternatives import Alternative, alternatives
from bentos.prescoring.banks import Banks
from bentos.prescoring.form import ApplicationForm
from bentos.prescoring.form_features import FormFeatures
from bentos.prescoring.offers import Offer, offers
from bentos.prescoring.reasons import Reason, reasons
from bentos.serving.backend import Backend
from bentos.serving.rows import frame_of, seen_by
from features.columns.models import MODEL_COLUMNS
from monitoring.rows import JournalRow

if TYPE_CHECKING:
    from registry.loading import LoadedModel

Decision = Literal["approve", "decline"]


class BankDecision(BaseModel):
    """What a bank would probably say."""

    probability: float = Field(description="Probability of approval, 0 to 1.")
    decision: Decision = Field(description="approve when the probability reaches the bank's threshold, otherwise decline.")
    counterfactual: Alternative | None = Field(
        None,
        description="When declined, or when the bank lends no such loan: the smallest change of amount or term to one that it "
        "would approve and lend, if there is one.",
    )


class PrescoringResult(BaseModel):
    """The likely decisions: one further field for each bank that the model knows (bank_a, bank_b, …)."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())
    __pydantic_extra__: dict[str, BankDecision]

    task_id: str = Field(description="The same form has the same id.")
    offers: list[Offer] = Field(
        description="Banks that would approve and lend this amount and term, best first by expected value."
    )
    reasons: dict[str, list[Reason]] = Field(description="By bank: at most four factors that carried its decision.")
    missing: list[str] = Field(description="Form fields that were not given; the model did without them.")
    model_version: str = Field(description="Registry version that computed it.")
    score_id: str = Field(description="Names the row of the journal.")


class Prescorer:
    """Computes results; keeping them is the queue's part."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._banks = load_catalogue(Banks, backend.config.catalogues)
        self._features = FormFeatures()
        self._known = {column.name: column for column in MODEL_COLUMNS["prescoring"]}

    def compute(self, form: ApplicationForm, accepted_at: datetime) -> tuple[PrescoringResult, JournalRow]:
        """The result for a form handed in at `accepted_at`, and the row that the journal has to keep before it is given out.

        Raises:
            RequestRefused: 503, no champion yet.
        """
        started = time.perf_counter()
        model = self._backend.champion.model()
        columns = {name: value if name in self._banks.form.fields else None for name, value in form.columns().items()}
        at = accepted_at.astimezone(UTC).replace(tzinfo=None)
        row = seen_by(model.scorer, self._features(columns, at))
        predictions = self._backend.predict(model, frame_of(row), started, None)
        decisions = self._decide(model, columns, at, {bank: float(values[0]) for bank, values in predictions.items()})
        probabilities = {bank: decision.probability for bank, decision in decisions.items()}
        said = {bank: decision.decision for bank, decision in decisions.items()}
        kept = self._backend.row(model, row, probabilities, started, None, said)
        result = PrescoringResult(
            task_id=form.task_id(),
            **decisions,
            offers=self._offers(form, decisions),
            reasons=self._reasons(model, row, decisions),
            missing=[name for name in self._banks.form.fields if columns[name] is None],
            model_version=model.version,
            score_id=kept.score_id,
        )
        return result, kept

    def _decide(
        self, model: LoadedModel, form: Mapping[str, Any], at: datetime, probabilities: Mapping[str, float]
    ) -> dict[str, BankDecision]:
        thresholds = {bank: self._banks.threshold(bank, model.scorer.thresholds[bank]["approve"]) for bank in probabilities}
        declined = {bank: threshold for bank, threshold in thresholds.items() if probabilities[bank] < threshold}
        not_lent = {bank: threshold for bank, threshold in thresholds.items() if not self._banks.lend(bank, form)}
        instead = alternatives(model.scorer, declined | not_lent, self._banks, form, self._features, at)
        return {
            bank: BankDecision(
                probability=probability,
                decision="decline" if bank in declined else "approve",
                counterfactual=instead.get(bank),
            )
            for bank, probability in probabilities.items()
        }

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
