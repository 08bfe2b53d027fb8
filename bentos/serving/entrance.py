"""The one door of a BentoML service: whatever its port answers comes from our application, never from BentoML's own pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Receive, Scope, Send

from edge.acceptance import share_connections
from edge.logs import install
from edge.patience import answer_with, be_patient_within_limits
from settings import Settings

if TYPE_CHECKING:
    from bentoml import Service


class Entrance:
    """ASGI middleware of a BentoML service: requests go to `app`, start and end of the process to BentoML.

    HTTP requests do not even come here. In front of its middlewares BentoML has others, which hold a timer and a task for each
    request, the timer for as long as the service's timeout lasts; so uvicorn hands requests to `app` itself.
    """

    def __init__(self, bento: ASGIApp, app: ASGIApp, use_case: str, log_level: str) -> None:
        install(use_case, log_level)  # here, since this is made when the worker starts and not when a test imports the service
        answer_with(app)
        self._bento = bento
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._bento(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def entrance(app: ASGIApp, use_case: str, config: Settings) -> Callable[[Service[Any]], Service[Any]]:
    """Decorator above `@bentoml.service`: `app` answers everything.

    BentoML's router, its context for each request, its 404 and 503 pages, `/docs.json`, `/schema.json` and `/static_content` are
    behind the door: nobody reaches them, and no request pays for them.
    """

    def put_in_front(service: Service[Any]) -> Service[Any]:
        be_patient_within_limits()
        share_connections()
        service.add_asgi_middleware(Entrance, app=app, use_case=use_case, log_level=config.log_level)
        return service

    return put_in_front
