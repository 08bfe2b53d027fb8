"""The consent service: `uvicorn consent_api.app:app`, or `python -m consent_api`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.responses import Response
from starlette.types import ASGIApp

from clock import now
from consent_api.callers.access import everyone
from consent_api.callers.caching import KeptNowhere
from consent_api.callers.credentials import Keyring
from consent_api.callers.identification import TOKEN_PATH, Authenticator, Entrance, Identification
from consent_api.callers.issuers import Issuers
from consent_api.callers.refusals import STORE_FAILURES, store_away, told
from consent_api.callers.request_ids import RequestIds
from consent_api.callers.roles import Principal
from consent_api.callers.route_roles import declare_roles
from consent_api.catalogue import NotInCatalogue, load_catalogue
from consent_api.custody.anchors import note_regularly
from consent_api.restore import replay
from consent_api.routes import auditors, clients, history, partners, proofs, staff, tokens
from consent_api.routes.examples import with_examples
from consent_api.routes.short_way import ShortWay
from consent_api.service import Service
from consent_api.store import open_store
from database import open_database
from edge.cors import CrossOrigin
from edge.documentation import document
from edge.errors import RequestRefused, described, install_error_handlers, validation_refusal
from edge.hosts import HostCheck
from edge.keys import is_local, is_loopback
from edge.limits import BodyLimit
from edge.measurements import metrics
from edge.media import MediaTypes
from edge.observation import Observed
from edge.pepper import pepper
from edge.rates import Buckets, RateLimit
from features.online import OnlineStore
from settings import Settings, settings

_REFUSALS = described(
    {
        400: "a company, data type or purpose is not in the catalogue; or not HTTP as it should be",
        401: "no valid token or key; or the token has changed something before",
        403: "not this caller's data",
        404: "no such client or consent",
        408: "the body did not arrive in time",
        413: "body above the limit",
        415: "the body has a format that is not read here",
        422: "a field is wrong; the message says which and what is expected",
        429: "more requests than this caller may send; try again after Retry-After",
        503: "the database is away; nothing is ever answered from a cache",
    }
)


def open_service(config: Settings) -> Service:
    """Open the databases and catalogues of the running service.

    Raises:
        DBAPIError, NotDurable, BrokenCatalogue, ConfigurationError, BrokenLog, BrokenReceiptKeys: it cannot run as configured.
    """
    store = open_store(config)
    replay(store, now(), config.erasure_working_days)
    store.custody.receipt_keys.published()  # a broken file of keys shows now, not with the first consent
    online = OnlineStore(open_database(config.database("online")))
    return Service(
        store=store,
        keyring=Keyring(store, pepper(config), clients=is_loopback(config.host)),
        issuers=Issuers.of(config),
        catalogue=load_catalogue(config.catalogues),
        knows=online.knows,
        now=now,
        online=online,
        config=config,
    )


def create_app(opened: Callable[[], Service], config: Settings) -> FastAPI:
    """The application; `opened` makes what stands behind it when the server starts.

    Raises:
        UndeclaredRoles: a route does not say who may call it.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.service = await run_in_threadpool(opened)
        app.state.authenticator = Authenticator(app.state.service)
        noting = asyncio.create_task(note_regularly(app.state.service.store, config.audit_anchor_seconds))
        yield
        noting.cancel()
        await run_in_threadpool(app.state.service.store.close)

    app = FastAPI(
        title="Opora consent service",
        description="Clients decide which company may count them in anonymised aggregates; partners read those aggregates.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # behind a proxy that ends TLS it would send callers, with their keys, to http://
        lifespan=lifespan,
    )
    _add_error_handlers(app)
    for routes in (clients, staff, proofs, history, partners, auditors, tokens):
        app.include_router(routes.router, responses=_REFUSALS)
    app.add_api_route("/metrics", _figures, include_in_schema=False, dependencies=[Depends(everyone)])
    document(app)
    _add_probes(app)
    _add_guards(app, config)
    described_by_types = app.openapi
    app.openapi = lambda: with_examples(described_by_types())  # type: ignore[method-assign]
    return app


def _add_guards(app: FastAPI, config: Settings) -> None:
    """What a request passes first, from inside to outside."""
    strangers = Buckets(config.stranger_rate_per_second, config.rate_limit_burst)
    app.add_middleware(BodyLimit, limit=config.body_limit, grace_seconds=config.body_grace_seconds)
    app.add_middleware(Entrance, public=declare_roles(app), strangers=strangers)
    limit = config.rate_limit_per_second
    app.state.buckets = None if limit is None else Buckets(limit, config.rate_limit_burst)
    if app.state.buckets is not None:
        app.add_middleware(RateLimit, buckets=app.state.buckets)
    app.add_middleware(Identification)
    app.add_middleware(RequestIds)
    app.add_middleware(MediaTypes, forms=[TOKEN_PATH])
    app.add_middleware(Observed, routes=app.routes)
    app.add_middleware(KeptNowhere)


def _add_error_handlers(app: FastAPI) -> None:
    install_error_handlers(app)
    app.add_exception_handler(RequestRefused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(NotInCatalogue, _not_listed)
    for failure in STORE_FAILURES:
        app.add_exception_handler(failure, _store_away)


def _figures(request: Request) -> Response:
    """Prometheus figures: for this machine, and for staff and auditors from elsewhere."""
    principal: Principal | None = getattr(request.state, "principal", None)
    if not is_local(request.scope) and (principal is None or principal.role not in ("staff", "auditor")):
        raise RequestRefused(403, "forbidden", "figures are for this machine, and for staff and auditors with a key")
    return metrics()


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


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestRefused)
    return await told(request, error)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return await told(request, validation_refusal(error.errors()))


async def _not_listed(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, NotInCatalogue)
    return await told(request, RequestRefused(400, f"unknown_{error.field}", str(error), error.field))


async def _store_away(_request: Request, error: Exception) -> JSONResponse:
    return store_away(error)


def guarded(app: FastAPI, config: Settings) -> ASGIApp:
    """`app`, answering only under its own names and to listed web pages; plain reads take the short way."""
    hosts = HostCheck(CrossOrigin(app, config.cors_origins), config.host, config.allowed_hosts)
    buckets: Buckets | None = app.state.buckets
    return ShortWay(hosts, app, hosts, None if buckets is None else RateLimit(app, buckets).refusal)


app = guarded(create_app(lambda: open_service(settings()), settings()), settings())
