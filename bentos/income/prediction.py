"""Predicting one income: whose, from which features, in which segment."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from bentos.catalogue import Segment, Segments, load_catalogue
from bentos.serving.backend import Backend
from bentos.serving.bodies import Body, ClientCode
from bentos.serving.clients import unknown_client, without_features
from bentos.serving.rows import FeatureName, FeatureValue, check_given, frame_of, seen_by
from edge.errors import RequestRefused
from features.columns.models import MODEL_COLUMNS

if TYPE_CHECKING:
    from registry.loading import LoadedModel

_NEVER_NEGATIVE = frozenset(
    column.name for column in MODEL_COLUMNS["income"] if not column.categorical and column.name != "avg_monthly_balance_KZT"
)
"""Sums, counts, shares and years; a balance may be overdrawn."""


def _either(client: str, features: str) -> list[JsonValue]:
    """JSON schema of bodies that name a client, or bring at least one feature."""
    return [
        {"required": [client], "properties": {client: {"type": "string"}}},
        {"required": [features], "properties": {features: {"type": "object", "minProperties": 1}}},
    ]


class PredictionRequest(Body):
    """Whose income to predict: a client of the bank, features, or a client with some features replaced."""

    client_id: ClientCode | None = Field(None, description="The bank's code of the client.")
    features: dict[FeatureName, FeatureValue] | None = Field(
        None, description="Feature values by name; they override what is known about the client; null does not."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"client_id": "12345"}], "anyOf": _either("client_id", "features")})

    @model_validator(mode="after")
    def _says_who(self) -> PredictionRequest:
        if self.client_id is None and not self.features:
            raise ValueError("give client_id, features or both")
        return self


class SimulationRequest(Body):
    """A what-if question: a client with some features replaced, or features alone."""

    external_id: ClientCode | None = Field(None, description="The bank's code of the client; absent = features_override alone.")
    features_override: dict[FeatureName, FeatureValue] = Field(
        description="Feature values by name that take the place of what is known about the client; null does not."
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"external_id": "12345", "features_override": {"salary_in_90d": 1_500_000}}],
            "anyOf": _either("external_id", "features_override"),
        }
    )

    @model_validator(mode="after")
    def _says_who(self) -> SimulationRequest:
        if self.external_id is None and not self.features_override:
            raise ValueError("give external_id, features_override or both")
        return self


class Prediction(BaseModel):
    """A client's income."""

    model_config = ConfigDict(protected_namespaces=())

    income_pred: float = Field(description="Predicted income, tenge a month.")
    interval_low: float = Field(description="Lower end of the 90 % conformal interval, tenge a month.")
    interval_high: float = Field(description="Upper end of the 90 % conformal interval, tenge a month.")
    segment_code: str = Field(description="low, middle, high or premium.")
    segment_name: str = Field(description="Name of the segment, Russian.")
    model_version: str = Field(description="Registry version that computed it.")
    score_id: str = Field(description="Names the row of the journal.")


@dataclass(frozen=True)
class Scored:
    """A prediction and what it rests on."""

    prediction: Prediction
    segment: Segment
    model: LoadedModel
    row: Mapping[str, Any]
    frame: pd.DataFrame


class IncomePredictor:
    """Predicts over an opened backend; every journal row is durable before an answer is given out."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._segments = load_catalogue(Segments, backend.config.catalogues)

    def predict(self, request: PredictionRequest) -> Prediction:
        """The income of a client, of features, or of both."""
        return self._score(request.client_id, request.features or {}, "client_id", "api", False).prediction

    def simulate(self, request: SimulationRequest) -> Prediction:
        """The income that a client would have; journalled as a simulation, so that drift and quality pass over it."""
        try:
            return self._score(request.external_id, request.features_override, "external_id", "api", True).prediction
        except RequestRefused as refused:
            raise _named(refused) from refused

    def client(self, client_id: str, source: str) -> Scored:
        """The prediction of a client on its online features, with all it rests on; `source` goes into the journal.

        Raises:
            RequestRefused: 404, the bank has no such client; 409, it has no features.
        """
        return self._score(client_id, {}, "id", source, False)

    def segment(self, income: float) -> Segment:
        """The segment of a monthly income, tenge."""
        return self._segments.of(income, self._backend.config.segment_borders)

    def _score(
        self,
        client_id: str | None,
        given: Mapping[str, Any],
        client_field: str,
        source: str,
        simulation: bool,
    ) -> Scored:
        started = time.perf_counter()
        model = self._backend.champion.model()
        check_given(given, model.scorer)
        _check_signs(given)
        row = seen_by(model.scorer, given, self._known(client_id, bool(given), client_field))
        frame = frame_of(row)
        income = self._backend.predict(model, frame, started, client_id)["income"]
        low, high = model.scorer.interval("income", frame)
        predicted = tenge(income)
        segment = self.segment(predicted)
        kept = self._backend.row(model, row, {"income": predicted}, started, client_id, {"income": segment.code})
        self._backend.keep([replace(kept, source=source, is_simulation=simulation)])
        prediction = Prediction(
            income_pred=predicted,
            interval_low=max(0.0, tenge(low)),
            interval_high=tenge(high),
            segment_code=segment.code,
            segment_name=segment.name_ru,
            model_version=model.version,
            score_id=kept.score_id,
        )
        return Scored(prediction, segment, model, row, frame)

    def _known(self, client_id: str | None, given: bool, field: str) -> dict[str, Any]:
        if client_id is None:
            return {}
        row = self._backend.online.get("income", client_id)
        if row is not None:
            return dict(row.values)
        if not self._backend.online.knows(client_id):
            raise unknown_client(field)
        if not given:
            raise without_features(field)
        return {}


def _check_signs(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name in _NEVER_NEGATIVE and value is not None and value < 0:
            field = f"features.{name}"
            raise RequestRefused(422, "invalid_request", f"{field}: should not be negative", field)


def _named(refused: RequestRefused) -> RequestRefused:
    """A refusal of `features.<name>` in the words of /api/simulate, where they are called features_override."""
    field = refused.field and refused.field.replace("features.", "features_override.", 1)
    message = refused.message.replace("features.", "features_override.", 1)
    return RequestRefused(refused.status, refused.code, message, field, refused.headers)


def tenge(amounts: np.ndarray) -> float:
    """The only amount of an array of one, to the tiyn."""
    return round(float(amounts[0]), 2)
