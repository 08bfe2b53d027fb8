"""What a service answers about clients that it cannot score."""

from typing import Any

from bentos.serving.application import REFUSALS, ErrorAnswer
from edge.errors import RequestRefused

CLIENT_REFUSALS: dict[int | str, dict[str, Any]] = REFUSALS | {
    404: {"model": ErrorAnswer, "description": "no such client"},
    409: {"model": ErrorAnswer, "description": "the client has no features; the message says what is missing"},
}


def unknown_client(field: str) -> RequestRefused:
    """404: the bank has no client with the code given in `field`."""
    return RequestRefused(404, "unknown_client", "the bank has no client with this code: ingest the clients table first", field)


def without_features(field: str) -> RequestRefused:
    """409: the bank knows the client given in `field`, but no features of it."""
    message = "the client has no feature row: ingest its transactions and transfers (make ingest), then run the pipeline"
    return RequestRefused(409, "client_without_features", message, field)
