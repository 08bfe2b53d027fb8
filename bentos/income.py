"""The income service: what a client earns a month, with an interval and a segment."""

from __future__ import annotations

import time
from typing import Any

import bentoml
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bentos.application import guarded, scoring_app, service_options
from bentos.backend import Backend
from bentos.bodies import Body, ClientCode
from bentos.catalogue import Segments, load_catalogue
from bentos.clients import CLIENT_REFUSALS, unknown_client, without_features
from bentos.rows import FeatureName, FeatureValue, check_given, frame_of, seen_by
from bentos.served import Served
from settings import settings


class PredictionRequest(Body):
    """Whose income to predict: a client of the bank, features, or a client with some features replaced."""

    client_id: ClientCode | None = Field(None, description="The bank's code of the client.")
    features: dict[FeatureName, FeatureValue] | None = Field(
        None, description="Feature values by name; they override what is known about the client; null does not."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"client_id": "12345"}]})

    @model_validator(mode="after")
    def _says_who(self) -> PredictionRequest:
        if self.client_id is None and not self.features:
            raise ValueError("give client_id, features or both")
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


def known_features(backend: Backend, request: PredictionRequest) -> dict[str, Any]:
    """The client's online features; empty when the request names no client.

    Raises:
        RequestRefused: 404, the bank has no such client; 409, it has one without features and the request brings none either.
    """
    if request.client_id is None:
        return {}
    row = backend.online.get("income", request.client_id)
    if row is not None:
        return dict(row.values)
    if not backend.online.knows(request.client_id):
        raise unknown_client("client_id")
    if not request.features:
        raise without_features("client_id")
    return {}


def predict(backend: Backend, segments: Segments, request: PredictionRequest) -> Prediction:
    """Predict one income; its journal row is durable when this returns."""
    started = time.perf_counter()
    model = backend.champion.model()
    given = request.features or {}
    check_given(given, model.scorer)
    row = seen_by(model.scorer, given, known_features(backend, request))
    income = backend.predict(model, frame_of(row), started, request.client_id)["income"]
    low, high = model.scorer.interval("income", income)
    predicted = tenge(income)
    segment = segments.of(predicted, backend.config.segment_borders)
    kept = backend.row(model, row, {"income": predicted}, started, request.client_id, {"income": segment.code})
    backend.keep([kept])
    return Prediction(
        income_pred=predicted,
        interval_low=max(0.0, tenge(low)),
        interval_high=tenge(high),
        segment_code=segment.code,
        segment_name=segment.name_ru,
        model_version=model.version,
        score_id=kept.score_id,
    )


def tenge(amounts: np.ndarray) -> float:
    """The only amount of an array of one, to the tiyn."""
    return round(float(amounts[0]), 2)


def income_app(backend: Backend) -> FastAPI:
    """The application of the income service over an opened backend."""
    segments = load_catalogue(Segments, backend.config.catalogues)
    app = scoring_app("Opora: income", "What a client earns a month.", backend)

    @app.post("/api/predictions", tags=["income"], responses=CLIENT_REFUSALS)
    def predictions(request: PredictionRequest) -> Prediction:
        """Income with a 90 % interval and a segment."""
        return predict(backend, segments, request)

    return app


BACKEND = Backend("income", settings())


@bentoml.service(**service_options(settings(), 3001))
@bentoml.asgi_app(guarded(income_app(BACKEND), settings()))
class IncomeService(Served):
    """The income application under BentoML."""

    backend = BACKEND
