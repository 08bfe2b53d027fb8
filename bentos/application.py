"""The FastAPI application that all four services share: probes, model card, errors, documentation, guards."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Security
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp

from bentos.backend import Backend
from clock import now
from edge.errors import install_error_handlers
from edge.keys import API_KEY_SCHEME, KeyGuard
from edge.limits import BodyLimit
from edge.measurements import Measured, Measurements
from settings import Settings

if TYPE_CHECKING:
    from registry.models import LoadedModel


class Failure(BaseModel):
    """What went wrong."""

    code: str = Field(description="Machine-readable word.")
    message: str = Field(description="What is wrong and what to do.")
    field: str | None = Field(None, description="The offending field, where there is one.")


class ErrorAnswer(BaseModel):
    """Every error of every endpoint."""

    error: Failure


class ModelCard(BaseModel):
    """The model version in force."""

    model_config = ConfigDict(protected_namespaces=())

    use_case: str
    version: str = Field(description="Version in the registry.")
    sha256: str = Field(description="Hash of the version's manifest, which holds the hashes of its files.")
    trained_at: str | None = Field(description="When it was trained, UTC.")
    age_seconds: float | None = Field(description="Seconds since it was trained.")
    loaded_at: str = Field(description="When this process took it over, UTC.")
    source: str = Field(description="Where it came from.")


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": meaning}
    for status, meaning in (
        (401, "no valid X-API-Key"),
        (413, "body above the limit"),
        (422, "a field is wrong; the message says which and what is expected"),
        (503, "no champion yet, or the journal is away; try again after Retry-After"),
    )
}


def scoring_app(title: str, description: str, backend: Backend) -> FastAPI:
    """An application with `GET /`, `GET /model`, `/docs` and the one error shape; endpoints are added by the service."""
    app = FastAPI(
        title=title, description=description, redoc_url=None, responses=REFUSALS, dependencies=[Security(API_KEY_SCHEME)]
    )
    install_error_handlers(app)

    @app.get("/", tags=["service"])
    def alive() -> dict[str, str]:
        """The process answers; `/readyz` says whether it can score."""
        return {"status": "ok"}

    @app.get("/model", tags=["service"])
    def model() -> ModelCard:
        """Which version computes the scores, how old it is and where it came from."""
        return _model_card(backend.champion.model())

    return app


def _model_card(loaded: LoadedModel) -> ModelCard:
    trained_at = loaded.scorer.metadata.get("trained_at")
    return ModelCard(
        use_case=loaded.use_case,
        version=loaded.version,
        sha256=loaded.sha256,
        trained_at=trained_at,
        age_seconds=(now() - datetime.fromisoformat(trained_at)).total_seconds() if trained_at else None,
        loaded_at=loaded.loaded_at.isoformat(),
        source=loaded.source,
    )


def guarded(app: FastAPI, config: Settings) -> ASGIApp:
    """`app` behind measurements, keys and the body limit, in this order from outside.

    The result is no Starlette object, so that BentoML hands it every path but its own probes: an unknown path gets our 404.
    """
    measurements = Measurements()
    measurements.serve(app)
    return Measured(KeyGuard(BodyLimit(app, config.body_limit), config.api_keys), measurements)


def service_options(config: Settings, port: int) -> dict[str, Any]:
    """Options of `bentoml.service`: one worker on `settings.host`.

    BentoML's own access log and request metrics are off, since both carry raw paths and so client codes; ours name the route.
    Spans are off, since nobody exports them and they cost a quarter of the time.
    """
    return {
        "workers": 1,
        "http": {"host": config.host, "port": port},
        "tracing": {"excluded_urls": ".*"},
        "metrics": {"enabled": False},
        "logging": {"access": {"enabled": False}},
    }
