"""What goes over the wire of the fraud service."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field
from pydantic.config import JsonDict

from bentos.serving.bodies import Body, ClientCode
from bentos.serving.rows import LARGEST

Count = Annotated[float | None, Field(ge=0, le=LARGEST)]
Signed = Annotated[float | None, Field(ge=-LARGEST, le=LARGEST)]
RiskLevel = Literal["low", "medium", "high"]

_ANSWER: JsonDict = {
    "fraud_probability": 0.00069,
    "risk_level": "low",
    "model_version": "3",
    "score_id": "019a1b2c3d4e7f60a1b2c3d4e5f60718",
}
_REASON: JsonDict = {
    "feature": "amount",
    "title": {"ru": "Сумма платежа, ₸", "en": "Amount, KZT"},
    "value": 31000.0,
    "contribution": -0.41,
    "direction": "lowers",
}


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


NUMBERS = tuple(name for name in TransactionScoringRequest.model_fields if name != "client_id")
"""Numeric fields of a payment, in order."""


def bounds_of(name: str) -> list[Any]:
    """The limits of a numeric field: objects with `ge`, `le` or `lt` (annotated-types)."""
    return list(TransactionScoringRequest.model_fields[name].metadata)


class TransactionBatch(Body):
    """Payments to judge together; one that is wrong refuses them all and is named."""

    items: Annotated[list[TransactionScoringRequest], FailFast()] = Field(description="Payments, in the order of the answers.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [{"client_id": "12345", "amount": 31000}]}]})


class TransactionScoringResponse(BaseModel):
    """The risk of one payment."""

    model_config = ConfigDict(protected_namespaces=(), json_schema_extra={"examples": [_ANSWER]})

    fraud_probability: float = Field(description="Probability that the payment is fraud, 0 to 1.")
    risk_level: RiskLevel = Field(description="low = let it through, medium = ask the client, high = block and review.")
    model_version: str = Field(description="Registry version that computed it.")
    score_id: str = Field(description="Names the row of the journal.")


class BatchScoringResponse(BaseModel):
    """The risks of the payments of a batch."""

    results: list[TransactionScoringResponse] = Field(description="One answer for each payment, in their order.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"results": [_ANSWER]}]})


class Wording(BaseModel):
    """A text in the two languages of the bank."""

    ru: str = Field(description="Russian.")
    en: str = Field(description="English.")


class FraudReason(BaseModel):
    """A factor that raised or lowered the risk."""

    feature: str = Field(description="Name of the feature.")
    title: Wording = Field(description="What the feature is called.")
    value: float | None = Field(description="Its value as the model saw it, in the unit that the title names; null = not known.")
    contribution: float = Field(description="What it adds to the log-odds of fraud; exact (TreeSHAP), below 0 lowers the risk.")
    direction: Literal["raises", "lowers"] = Field(description="Whether it raises or lowers the risk.")


class TransactionExplanationResponse(TransactionScoringResponse):
    """The risk of one payment, and what it rests on."""

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={
            "examples": [
                _ANSWER
                | {
                    "reasons": [_REASON],
                    "sentence": {
                        "ru": "Риск низкий (0,07 %). Снижает риск: сумма платежа, ₸.",
                        "en": "The risk is low (0.07%). Lowering it: amount, KZT.",
                    },
                }
            ]
        },
    )

    reasons: list[FraudReason] = Field(max_length=4, description="At most four factors, the weightiest first.")
    sentence: Wording = Field(description="The reasons in one sentence or two, for people.")
