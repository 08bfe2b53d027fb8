"""The FastAPI application that all four services share: probes, model card, errors, documentation, guards."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from bentos.champion import Following
from bentos.serving.away import AWAY, database_away
from bentos.serving.backend import Backend
from bentos.serving.health_figures import HealthFigures
from bentos.serving.labels import add_labels
from bentos.serving.scopes import ROUTE_SCOPES
from clock import now
from edge.cors import CrossOrigin
from edge.documentation import document
from edge.errors import ErrorAnswer as ErrorAnswer
from edge.errors import RequestRefused, described, install_error_handlers
from edge.hosts import HostCheck
from edge.keys import KeyGuard, Keyring
from edge.lane import Endpoint, Lane
from edge.limits import BodyLimit
from edge.media import MediaTypes
from edge.names import OnceRoute
from edge.observation import Observed
from edge.rates import Buckets, RateLimit
from edge.scopes import RouteScopes
from settings import Settings

if TYPE_CHECKING:
    from registry.loading import LoadedModel


class ModelCard(BaseModel):
    """The model version in force."""

    model_config = ConfigDict(protected_namespaces=())

    use_case: str = Field(description="income, prescoring, recommendation or fraud.")
    version: str = Field(description="Version in the registry.")
    sha256: str = Field(description="Hash of the version's manifest, which holds the hashes of its files.")
    trained_at: str | None = Field(description="When it was trained, UTC.")
    age_seconds: float | None = Field(description="Seconds since it was trained.")
    loaded_at: str = Field(description="When this process took it over, UTC.")
    source: str = Field(description='Where it came from; "cache" = the local copy, because the registry did not answer.')
    registry_seen_at: str | None = Field(description="When the registry said last which version is in force, UTC.")
    stale_seconds: float | None = Field(
        description="Seconds since then: beyond a few polls the registry is away, and a promotion would not be noticed. "
        "null = it has not answered since this process started."
    )


REFUSALS = described(
    {
        400: "not HTTP as it should be: an unknown Host, a length that is no number, text that is not UTF-8",
        401: "no valid X-API-Key",
        403: "the key lacks the scope of this address; or no API keys are configured and the caller is not on this machine",
        408: "the body did not arrive in time",
        413: "body above the limit",
        415: "the body has a format that is not read here",
        422: "a field is wrong; the message says which and what is expected",
        429: "more requests than this caller may send; try again after Retry-After",
        503: "no champion yet, or a database is away; try again after Retry-After",
    }
)
"""What any endpoint may answer instead of what was asked for."""

_BATCHES = ("/api/v1/score_batch",)
_UPLOADS = ("/upload/clients", "/upload/transactions", "/upload/transfers", "/api/imports/income-csv", "/api/admin/import/start")


def scoring_app(title: str, description: str, backend: Backend) -> FastAPI:
    """An application with `GET /`, `GET /model`, `/docs` and the one error shape; endpoints are added by the service."""
    subject = [{"name": backend.use_case}]  # the first group of /docs; the others follow as they are added
    app = FastAPI(title=title, description=description, docs_url=None, redoc_url=None, responses=REFUSALS, openapi_tags=subject)
    app.router.route_class = OnceRoute
    app.state.quick = {}  # address → what answers plain requests there: see edge.lane
    install_error_handlers(app)
    for failure in AWAY:
        app.add_exception_handler(failure, _database_away)
    app.add_api_route("/metrics", HealthFigures(backend.use_case, backend.config).metrics, include_in_schema=False)
    _add_probes(app, backend)
    add_labels(app, backend)
    document(app, Keyring(backend.config), ROUTE_SCOPES)

    @app.get("/", tags=["service"])
    def alive() -> dict[str, str]:
        """The process answers; `/readyz` says whether it can score."""
        return {"status": "ok"}

    @app.get("/model", tags=["service"])
    def model() -> ModelCard:
        """Which version computes the scores, how old it is and where it came from."""
        return _model_card(backend.champion.model(), backend.champion.following)

    return app


async def _database_away(_request: Request, error: Exception) -> Response:
    return database_away(error).response()


def _model_card(loaded: LoadedModel, following: Following) -> ModelCard:
    trained_at = loaded.scorer.metadata.get("trained_at")
    return ModelCard(
        use_case=loaded.use_case,
        version=loaded.version,
        sha256=loaded.sha256,
        trained_at=trained_at,
        age_seconds=(now() - datetime.fromisoformat(trained_at)).total_seconds() if trained_at else None,
        loaded_at=loaded.loaded_at.isoformat(),
        source=loaded.source,
        registry_seen_at=following.seen_at and following.seen_at.isoformat(),
        stale_seconds=following.stale_seconds,
    )


def _add_probes(app: FastAPI, backend: Backend) -> None:
    @app.get("/livez", include_in_schema=False)
    @app.get("/healthz", include_in_schema=False)
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", include_in_schema=False)
    async def ready() -> dict[str, str]:
        if not backend.champion.ready:
            raise RequestRefused(503, "not_ready", "no champion is loaded yet", headers={"Retry-After": "1"})
        return {"status": "ready"}


def guarded(app: FastAPI, config: Settings) -> ASGIApp:
    """`app` behind everything a request passes first. From outside: observation, names, origins, keys, rates, formats, sizes.

    Plain requests to `app.state.quick` pass the same guards on a shorter way. A page or a script meets BentoML only behind
    it: `bentos.serving.entrance` puts the result in front of the service.

    Raises:
        UndeclaredScope: a route is not listed in `bentos.serving.scopes`.
    """
    larger = dict.fromkeys(_BATCHES, config.batch_body_limit) | dict.fromkeys(_UPLOADS, config.upload_limit)
    inner: ASGIApp = MediaTypes(BodyLimit(app, config.body_limit, larger, config.body_grace_seconds))
    toll = None
    if config.rate_limit_per_second is not None:
        inner = rates = RateLimit(inner, Buckets(config.rate_limit_per_second, config.rate_limit_burst))
        toll = rates.refusal
    keys = KeyGuard(inner, Keyring(config), RouteScopes(app.routes, ROUTE_SCOPES).needed)
    hosts = HostCheck(CrossOrigin(keys, config.cors_origins), config.host, config.allowed_hosts)
    observed = Observed(hosts, app.routes)
    quick: dict[str, Endpoint] = app.state.quick
    return Lane(observed, quick, (hosts, keys), toll, config.body_limit) if quick else observed


def service_options(config: Settings, port: int) -> dict[str, Any]:
    """Options of `bentoml.service`: `settings.serving_workers` processes on `settings.host`.

    BentoML's own access log and request metrics are off, since both carry raw paths and so client codes; ours name the route.
    Spans are off, since nobody exports them and they cost a quarter of the time. Its timeout is an hour, since uploads and batch
    jobs may take long; what is slow to arrive is ended by `edge.limits`.
    """
    return {
        "workers": config.serving_workers,
        "http": {"host": config.host, "port": port},
        "tracing": {"excluded_urls": ".*"},
        "metrics": {"enabled": False},
        "logging": {"access": {"enabled": False}},
        "traffic": {"timeout": 3600},
    }
