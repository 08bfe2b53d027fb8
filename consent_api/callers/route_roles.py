"""Every route says who may call it; one that does not keeps the service from starting."""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from consent_api.callers.access import Admission, everyone
from consent_api.callers.roles import Role
from edge.keys import OPEN_PATHS


class UndeclaredRoles(Exception):
    """Routes do not say who may call them: the application must not start."""


def declare_roles(app: FastAPI) -> frozenset[str]:
    """The paths that ask nobody for a credential; the roles of all others get into the description (`x-roles`).

    Raises:
        UndeclaredRoles: a route declares neither `allow(...)` nor `everyone`.
    """
    routes = [(route, _declared(route)) for route in iter_route_contexts(app.routes) if route.path not in OPEN_PATHS]
    silent = ", ".join(str(route.path) for route, roles in routes if roles is None)
    if silent:
        raise UndeclaredRoles(f"every route needs Depends(allow(<roles>)) or Depends(everyone), and these have none: {silent}")
    _describe(app, {(route.path, method.lower()): roles for route, roles in routes for method in route.methods or ()})
    return OPEN_PATHS | {str(route.path) for route, roles in routes if not roles}


def _declared(route: RouteContext) -> tuple[Role, ...] | None:
    """The route's roles: none for everyone, None where nothing is declared."""
    if not isinstance(route.original_route, APIRoute):
        return None
    calls = list(_calls(route.dependant))
    admitted = [call.roles for call in calls if isinstance(call, Admission)]
    return admitted[0] if admitted else () if everyone in calls else None


def _describe(app: FastAPI, roles: Mapping[tuple[str | None, str], tuple[Role, ...] | None]) -> None:
    plain = app.openapi

    def with_roles() -> dict[str, Any]:
        description = plain()
        for path, operations in description["paths"].items():
            for method, operation in operations.items():
                operation["x-roles"] = list(roles.get((path, method)) or ())
        return description

    app.openapi = with_roles  # type: ignore[method-assign]


def _calls(dependant: Dependant) -> Iterator[object]:
    for each in dependant.dependencies:
        yield each.call
        yield from _calls(each)
