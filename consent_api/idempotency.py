"""Idempotency-Key: the same request again gets the answer of the first time, and changes nothing."""

from datetime import datetime
from hashlib import sha256

from sqlalchemy import Connection, insert, select

from consent_api.tables import ANSWERS
from edge.errors import RequestRefused


def answered_before(connection: Connection, owner: str, key: str, request: bytes) -> bytes | None:
    """The answer to an earlier request with this key of this owner; None when there was none.

    Raises:
        RequestRefused: 422, the key was used for a different request.
    """
    chosen = (ANSWERS.c.owner == owner, ANSWERS.c.idempotency_key == key)
    found = connection.execute(select(ANSWERS.c.request_sha256, ANSWERS.c.answer).where(*chosen)).one_or_none()
    if found is None:
        return None
    if found.request_sha256 != sha256(request).hexdigest():
        message = "this Idempotency-Key was used for a different request: make a new key for a new request"
        raise RequestRefused(422, "idempotency_conflict", message, "Idempotency-Key")
    return bytes(found.answer)


def remember(connection: Connection, owner: str, key: str, request: bytes, answer: bytes, at: datetime) -> None:
    """Keep the answer, in the transaction that did what was asked."""
    digest = sha256(request).hexdigest()
    connection.execute(insert(ANSWERS).values(owner=owner, idempotency_key=key, request_sha256=digest, answer=answer, at=at))
