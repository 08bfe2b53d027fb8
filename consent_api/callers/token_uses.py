"""Tokens that may not be sent again: each changes something at most once, and may be taken back before its time."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from consent_api.callers.tokens import token_id
from consent_api.tables import TOKENS
from edge.errors import RequestRefused

USED, REVOKED = "used", "revoked"
_LONGEST_LIFE = timedelta(days=1)
_CLOCKS_APART = timedelta(hours=1)
_FORGET = delete(TOKENS).where(TOKENS.c.good_until < bindparam("before"))
_STATE = select(TOKENS.c.state).where(TOKENS.c.token_id == bindparam("token"))
_KEEP = insert(TOKENS)
_REPLAYED = RequestRefused(
    401,
    "token_used",
    "this token has changed something before: get a new one for each change, or repeat a request with its Idempotency-Key",
    headers={"WWW-Authenticate": 'Bearer realm="opora", error="invalid_token"'},
)


def spend(connection: Connection, token: str, good_until: datetime, at: datetime) -> None:
    """Let the token with this id change something, once, in the transaction of that change; tokens long expired are forgotten.

    Raises:
        RequestRefused: 401, it did so before, or was revoked.
    """
    forget(connection, at)
    if connection.execute(_STATE, {"token": token}).first():
        raise _REPLAYED
    connection.execute(_KEEP, {"token_id": token, "state": USED, "at": at, "good_until": good_until})


def forget(connection: Connection, at: datetime) -> int:
    """Delete what is known of tokens that nobody would accept any more; returns how many."""
    return connection.execute(_FORGET, {"before": at - _CLOCKS_APART}).rowcount


def revoke(connection: Connection, issuer: str, jti: str, at: datetime) -> str:
    """Accept a token no more; it need not have been seen yet. Returns its name here."""
    ended = {"state": REVOKED, "at": at, "good_until": at + _LONGEST_LIFE}
    name = token_id(issuer, jti)
    if not connection.execute(update(TOKENS).where(TOKENS.c.token_id == name).values(ended)).rowcount:
        connection.execute(insert(TOKENS).values(token_id=name, **ended))
    return name


def is_revoked(connection: Connection, token: str) -> bool:
    """Whether the token with this id was taken back."""
    return connection.scalar(_STATE, {"token": token}) == REVOKED
