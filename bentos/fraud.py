"""The fraud service: how risky is this payment, and what to do about it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import bentoml
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from bentos.application import guarded, scoring_app, service_options
from bentos.backend import Backend
from bentos.bodies import Body, ClientCode
from bentos.rows import LARGEST, frame_of, seen_by
from bentos.served import Served
from clock import now
from edge.keys import ConfigurationError
from settings import Settings, settings

if TYPE_CHECKING:
    from registry.models import LoadedModel
    from registry.scorer import Scorer

Count = Annotated[float | None, Field(ge=0, le=LARGEST)]
Signed = Annotated[float | None, Field(ge=-LARGEST, le=LARGEST)]
RiskLevel = Literal["low", "medium", "high"]
_FLAG = "_was_missing"


class TransactionScoringRequest(Body):
    """A payment to judge; only `amount` is required. A behaviour feature that is absent or null is looked up for `client_id`."""

    client_id: ClientCode | None = Field(None, description="The bank's code of the paying client.")
    amount: float = Field(ge=0, lt=1e12, description="Amount of the payment, tenge.")
    os_ver_cnt_30d: Count = Field(None, description="Distinct OS versions over 30 days.")
    phone_model_cnt_30d: Count = Field(None, description="Distinct phone models over 30 days.")
    login_sessions_7d: Count = Field(None, description="Distinct logins over 7 days.")
    login_sessions_30d: Count = Field(None, description="Distinct logins over 30 days.")
    logins_per_day_7d: Count = Field(None, description="Logins a day over 7 days.")
    logins_per_day_30d: Count = Field(None, description="Logins a day over 30 days.")
    login_freq_change_7d_vs_30d: Signed = Field(None, description="Relative change of logins a day, 7 against 30 days.")
    logins_7d_share_of_30d: Count = Field(None, description="Share of the 30 days' logins that fell into the last 7.")
    avg_session_interval_30d: Count = Field(None, description="Mean time between neighbouring sessions over 30 days, seconds.")
    std_session_interval_30d: Count = Field(None, description="Standard deviation of that time, seconds.")
    var_session_interval_30d: Count = Field(None, description="Variance of that time, square seconds.")
    ewm_session_interval_7d: Count = Field(None, description="Exponentially weighted mean of that time over 7 days, seconds.")
    burstiness_sessions: Annotated[float | None, Field(ge=-1, le=1)] = Field(None, description="(std − mean) / (std + mean).")
    fano_factor_sessions: Count = Field(None, description="Variance / mean of the time between sessions, seconds.")
    zscore_interval_7d_vs_30d: Signed = Field(None, description="(mean7 − mean30) / std30 of the time between sessions.")

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"client_id": "12345", "amount": 31000, "os_ver_cnt_30d": 2, "login_sessions_7d": 15}]}
    )


class TransactionScoringResponse(BaseModel):
    """The risk of one payment."""

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={
            "examples": [
                {
                    "fraud_probability": 0.00069,
                    "risk_level": "low",
                    "model_version": "3",
                    "score_id": "0f8fad5bd9cb469fa16570867728950e",
                }
            ]
        },
    )

    fraud_probability: float = Field(description="Probability that the payment is fraud, 0 to 1.")
    risk_level: RiskLevel = Field(description="low = let it through, medium = ask the client, high = block and review.")
    model_version: str = Field(description="Registry version that computed it.")
    score_id: str = Field(description="Names the row of the journal.")


def model_row(scorer: Scorer, request: TransactionScoringRequest, online: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """What the model sees: given values, else online ones, else 0 with `<feature>_was_missing` = 1 where the model has that flag.

    Hour (0-23) and weekday (Monday = 0) are those of `at`, in UTC as in the payments table.
    """
    given = request.model_dump(exclude={"client_id"}) | {"hour": at.hour, "weekday": at.weekday()}
    row = seen_by(scorer, given, online)
    for flag in [name for name in scorer.columns if name.endswith(_FLAG)]:
        feature = flag.removesuffix(_FLAG)
        row[flag] = int(row.get(feature) is None)
        if feature in row and row[feature] is None:
            row[feature] = 0
    return row


def risk_level(probability: float, thresholds: Mapping[str, float], config: Settings) -> RiskLevel:
    """The level by the thresholds stored with the model, each of which a setting may override."""
    high = thresholds["high"] if config.risk_threshold_high is None else config.risk_threshold_high
    medium = thresholds["medium"] if config.risk_threshold_medium is None else config.risk_threshold_medium
    if probability >= high:
        return "high"
    return "medium" if probability >= medium else "low"


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


def score(backend: Backend, request: TransactionScoringRequest) -> TransactionScoringResponse:
    """Judge one payment; its journal row is durable when this returns."""
    started = time.perf_counter()
    model: LoadedModel = backend.champion.model()
    known = None if request.client_id is None else backend.online.get("fraud", request.client_id)
    row = model_row(model.scorer, request, {} if known is None else known.values, now())
    probability = float(backend.predict(model, frame_of(row), started, request.client_id)["fraud"][0])
    level = risk_level(probability, model.scorer.thresholds["fraud"], backend.config)
    kept = backend.row(model, row, {"fraud": probability}, started, request.client_id, {"fraud": level})
    backend.keep([kept])
    return TransactionScoringResponse(
        fraud_probability=probability, risk_level=level, model_version=model.version, score_id=kept.score_id
    )


def fraud_app(backend: Backend) -> FastAPI:
    """The application of the fraud service over an opened backend."""
    check_thresholds(backend.config)
    app = scoring_app("Opora: fraud", "The risk of a payment before it leaves the bank.", backend)

    @app.post("/api/v1/score_transaction", tags=["fraud"])
    def score_transaction(request: TransactionScoringRequest) -> TransactionScoringResponse:
        """Probability of fraud and what to do with the payment."""
        return score(backend, request)

    return app


BACKEND = Backend("fraud", settings())


@bentoml.service(**service_options(settings(), 3004))
@bentoml.asgi_app(guarded(fraud_app(BACKEND), settings()))
class FraudService(Served):
    """The fraud application under BentoML."""

    backend = BACKEND
