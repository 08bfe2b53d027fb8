"""The consent service: `uvicorn consent_api.app:app`, or `python -m consent_api`."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError, TimeoutError

from clock import now
from consent_api import client_routes, partner_routes
from consent_api.access import RequestIds, Service, note_refusal
from consent_api.auth import Keyring, pepper
from consent_api.catalogue import NotInCatalogue, load_catalogue
from consent_api.store import open_store
from database import NotDurable, open_database
from edge.errors import RequestRefused, install_error_handlers, validation_refusal
from edge.limits import BodyLimit
from edge.measurements import Measured, Measurements
from features.online import OnlineStore
from settings import Settings, settings

logger = logging.getLogger("opora.consent")
_STORE_FAILURES = (DBAPIError, TimeoutError, NotDurable)
_AWAY = RequestRefused(
    503,
    "store_unavailable",
    "the consent database does not answer, so nothing is given out: try again",
    headers={"Retry-After": "1"},
)


class Failure(BaseModel):
    """What went wrong, and what to do."""

    code: str
    message: str
    field: str | None = None


class ErrorAnswer(BaseModel):
    """Every error of every endpoint."""

    error: Failure


_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": meaning}
    for status, meaning in (
        (400, "a company, data type or purpose is not in the catalogue"),
        (401, "no valid X-API-Key"),
        (403, "not this caller's data"),
        (404, "no such client or consent"),
        (413, "body above the limit"),
        (422, "a field is wrong; the message says which and what is expected"),
        (503, "the database is away; nothing is ever answered from a cache"),
    )
}


def open_service(config: Settings) -> Service:
    """Open the databases and catalogues of the running service.

    Raises:
        DBAPIError, NotDurable, BrokenCatalogue, ConfigurationError: it cannot run as configured.
    """
    store = open_store(config.database("consent"))
    return Service(
        store=store,
        keyring=Keyring(store, pepper(config)),
        catalogue=load_catalogue(config.catalogues),
        knows=OnlineStore(open_database(config.database("online"))).knows,
        now=now,
    )


def create_app(opened: Callable[[], Service], body_limit: int) -> FastAPI:
    """The application; `opened` makes what stands behind it when the server starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.service = await run_in_threadpool(opened)
        yield
        app.state.service.store.engine.dispose()

    app = FastAPI(
        title="Opora consent service",
        description="Clients decide which company may count them in anonymised aggregates; partners read those aggregates.",
        redoc_url=None,
        lifespan=lifespan,
    )
    install_error_handlers(app)
    app.add_exception_handler(RequestRefused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(NotInCatalogue, _not_listed)
    for failure in _STORE_FAILURES:
        app.add_exception_handler(failure, _store_away)
    app.add_middleware(BodyLimit, limit=body_limit)
    app.add_middleware(RequestIds)
    measurements = Measurements()
    measurements.serve(app)
    app.add_middleware(Measured, measurements=measurements)
    app.include_router(client_routes.router, responses=_REFUSALS)
    app.include_router(partner_routes.router, responses=_REFUSALS)
    _add_probes(app)
    return app


def _add_probes(app: FastAPI) -> None:
    @app.get("/", tags=["service"])
    @app.get("/healthz", tags=["service"])
    def alive() -> dict[str, str]:
        """The process answers; `/readyz` says whether it can work."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["service"])
    def ready(request: Request) -> dict[str, str]:
        """The database answers and its tables are those of this version."""
        service: Service = request.app.state.service
        if not service.store.is_ready():
            raise RequestRefused(503, "not_migrated", "the database has tables of another version: restart the service")
        return {"status": "ready"}


def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestRefused)
    return _tell(request, error)


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return _tell(request, validation_refusal(error.errors()))


def _not_listed(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, NotInCatalogue)
    return _tell(request, RequestRefused(400, f"unknown_{error.field}", str(error), error.field))


def _store_away(_request: Request, error: Exception) -> JSONResponse:
    logger.error("the database failed: %s", type(error).__name__)
    return _AWAY.response()


def _tell(request: Request, refusal: RequestRefused) -> JSONResponse:
    """The refusal as a response, once its audit row is written."""
    try:
        note_refusal(request, refusal.status, refusal.code)
    except _STORE_FAILURES as error:
        return _store_away(request, error)
    return refusal.response()


app = create_app(lambda: open_service(settings()), settings().body_limit)
