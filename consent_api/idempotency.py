"""Idempotency-Key: the same request again gets the answer of the first time, and changes nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import Connection, insert, select

from consent_api.tables import ANSWERS
from edge.errors import RequestRefused


@dataclass(frozen=True)
class Repeatable:
    """A request that may be sent again: whose it is, whom it is about, its Idempotency-Key if it has one, what it asks for."""

    owner: str
    client_code: str
    key: str | None
    content: bytes

    @property
    def digest(self) -> str:
        """By which a different request is told apart."""
        return sha256(self.content).hexdigest()


def once(connection: Connection, request: Repeatable, answer: Callable[[], bytes], at: datetime) -> tuple[bytes, bool]:
    """The answer, made and kept in the caller's writing transaction unless it was before; and whether it was.

    Raises:
        RequestRefused: 422, the key was used for a different request.
    """
    if request.key is None:
        return answer(), False
    before = _answered_before(connection, request, request.key)
    if before is not None:
        return before, True
    made = answer()
    row = {"owner": request.owner, "client_code": request.client_code, "idempotency_key": request.key, "answer": made, "at": at}
    connection.execute(insert(ANSWERS).values(**row, request_sha256=request.digest))
    return made, False


def is_known(connection: Connection, owner: str, key: str) -> bool:
    """Whether this owner's key has had its answer: a request that carries it changes nothing any more."""
    chosen = (ANSWERS.c.owner == owner, ANSWERS.c.idempotency_key == key)
    return connection.execute(select(ANSWERS.c.owner).where(*chosen)).first() is not None


def _answered_before(connection: Connection, request: Repeatable, key: str) -> bytes | None:
    chosen = (ANSWERS.c.owner == request.owner, ANSWERS.c.idempotency_key == key)
    found = connection.execute(select(ANSWERS.c.request_sha256, ANSWERS.c.answer).where(*chosen)).one_or_none()
    if found is None:
        return None
    if found.request_sha256 != request.digest:
        message = "this Idempotency-Key was used for a different request: make a new key for a new request"
        raise RequestRefused(422, "idempotency_conflict", message, "Idempotency-Key")
    return bytes(found.answer)
