"""A short way to endpoints that read their own body: past the routing, dependencies and exit stacks of FastAPI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from edge.errors import RequestRefused

Endpoint = Callable[[Request], Awaitable[Response]]


class Direct:
    """ASGI middleware: a request for one of `routes` goes straight to its endpoint, any other on to the application."""

    def __init__(self, app: ASGIApp, routes: dict[tuple[str, str], APIRoute]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        try:
            response = await route.endpoint(Request(scope, receive))
        except RequestRefused as refusal:
            response = refusal.response()
        except ClientDisconnect:  # nobody is left to answer
            return
        await response(scope, receive, send)


def add_direct(app: FastAPI, paths: tuple[str, ...]) -> None:
    """Let POST requests to `paths` of `app` take the short way; their endpoints take a Request and give a Response."""
    routes = {("POST", route.path): route for route in app.routes if isinstance(route, APIRoute) and route.path in paths}
    app.add_middleware(Direct, routes=routes)
