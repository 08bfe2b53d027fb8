"""What a key is good for, and which of it an address asks for."""

from collections.abc import Mapping, Sequence

from starlette.routing import BaseRoute, Match
from starlette.types import Scope

SCORE, CLIENTS, DATA, WATCH, ADMIN = "score", "clients", "data", "watch", "admin"
SCOPES = {
    SCORE: "scores of what the caller sends, or of a client that it names",
    CLIENTS: "cards, lists and push texts of the bank's clients",
    DATA: "uploads, imports and labels",
    WATCH: "figures of the service, which name no client",
    ADMIN: "imports from the bank's own folder, the demo bank, and computing everybody anew",
}
"""What each is for. A key has those it was made with."""

OPEN_PATHS = frozenset({"/", "/docs", "/docs/swagger-ui.js", "/docs/swagger-ui.css", "/openapi.json"}) | frozenset(
    {"/livez", "/healthz", "/health", "/readyz"}
)
"""Answered without a key: probes and documentation, which hold no data."""


class UndeclaredScope(Exception):
    """Routes do not say which scope they ask for: the service must not start."""


class RouteScopes:
    """The scope that the route of a request asks for.

    Args:
        routes: of the application.
        declared: path template as in the description → scope; None = any key.

    Raises:
        UndeclaredScope: a route is neither declared nor open.
    """

    def __init__(self, routes: Sequence[BaseRoute], declared: Mapping[str, str | None]) -> None:
        paths = [(route, str(getattr(route, "path_format", route))) for route in routes]
        silent = ", ".join(path for _, path in paths if path not in OPEN_PATHS and path not in declared)
        if silent:
            raise UndeclaredScope(f"every route needs a scope, and these have none: {silent}")
        self._declared = dict(declared)
        self._templates = [(route, path) for route, path in paths if "{" in path]

    def needed(self, scope: Scope) -> str | None:
        """What a key has to be good for; None = any key, as also where there is no route."""
        path = scope["path"]
        if path in self._declared:
            return self._declared[path]
        found = (self._declared[template] for route, template in self._templates if route.matches(scope)[0] is not Match.NONE)
        return next(found, None)
