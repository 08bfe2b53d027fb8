"""What OpenAPI says about bodies that the fraud endpoints read themselves."""

from __future__ import annotations

from typing import Any

from bentos.fraud.formats import ARROW, JSON, JSON_LINES
from bentos.fraud.requests import TransactionBatch, TransactionScoringRequest

_BINARY = {"type": "string", "format": "binary"}
_LINES = {"type": "string", "description": "One JSON object in each line."}

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One answer for each payment, in their order, in the format they came in.",
        "content": {JSON_LINES: {"schema": _LINES}, ARROW: {"schema": _BINARY}},
    }
}
"""Answers of score_batch beside JSON."""


def payment_body() -> dict[str, Any]:
    """One payment as JSON."""
    return _body({JSON: {"schema": _payment()}})


def batch_body(most: int) -> dict[str, Any]:
    """At most `most` payments, in each of the formats."""
    batch = TransactionBatch.model_json_schema()
    batch.pop("$defs")
    batch["properties"]["items"] |= {"items": _payment(), "maxItems": most}
    return _body({JSON: {"schema": batch}, JSON_LINES: {"schema": _LINES}, ARROW: {"schema": _BINARY}})


def _payment() -> dict[str, Any]:
    return TransactionScoringRequest.model_json_schema()


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}
