"""What callers are told when they get nothing: only after the audit row that says so is written."""

import logging
import sqlite3
from collections.abc import Collection
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError, PendingRollbackError, TimeoutError

from consent_api import audit
from consent_api.audit import Actor, Entry
from consent_api.callers.roles import Principal
from consent_api.committer import CommitterClosed, TooManyWait
from consent_api.custody.withdrawals import NotLogged
from consent_api.record.current import parties
from consent_api.service import Service
from database import NotDurable
from edge.errors import RequestRefused

logger = logging.getLogger("opora.consent")
STORE_FAILURES = (
    DBAPIError,
    PendingRollbackError,
    sqlite3.Error,
    TimeoutError,
    NotDurable,
    TooManyWait,
    CommitterClosed,
    NotLogged,
)
AWAY = RequestRefused(
    503,
    "store_unavailable",
    "the consent database does not answer, so nothing is given out: try again",
    headers={"Retry-After": "1"},
)


async def told(request: Request, refusal: RequestRefused) -> JSONResponse:
    """The refusal as a response, once its audit row is written."""
    try:
        await note_refusal(request, refusal.status, refusal.code)
    except STORE_FAILURES as error:
        return store_away(error)
    return refusal.response()


def store_away(error: Exception) -> JSONResponse:
    """What is told, and logged, when the database has failed."""
    logger.error("the database failed: %s", type(error).__name__)
    return AWAY.response()


async def note_refusal(request: Request, status: int, code: str) -> None:
    """Audit that a request was refused, in a transaction of its own.

    Raises:
        DBAPIError: the row could not be written, so the refusal must not be told either.
    """
    service: Service = request.app.state.service
    principal: Principal | None = getattr(request.state, "principal", None)
    name, role = (principal.key_id, principal.role) if principal else ("unknown", "none")
    actor = Actor(name, role, request.state.request_id)
    entry = _refusal(request, {"status": status, "code": code}, service.catalogue.companies)
    await service.store.written(lambda connection: audit.append(connection, actor, service.now(), [entry]))


def _refusal(request: Request, detail: dict[str, Any], companies: Collection[str]) -> Entry:
    """Which route was refused, about whom; what else a caller has written into the address may be anything, and is not kept."""
    route = f"{request.method} {getattr(request.scope.get('route'), 'path', 'elsewhere')}"
    if request.path_params.get("company") in companies:
        detail["company"] = request.path_params["company"]
    client = request.path_params.get("client_id") or parties(request.path_params.get("consent_id", ""))[0]
    if client:
        return Entry("request.refused", detail={"route": route, **detail}, client=client)
    return Entry("request.refused", route, detail)
