"""JSON bodies as routes read them: an object in which a name stands twice is refused, for nobody can tell what was meant."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from edge.errors import RequestRefused, field_name


def read_once(text: bytes, *place: str | int) -> Any:
    """What a JSON text says, which lies at `place` of the request.

    Raises:
        RequestRefused: 422, an object has a name twice.
        json.JSONDecodeError: it is no JSON.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        read: dict[str, Any] = {}
        for name, value in pairs:
            if name in read:
                raise given_twice(*place, name)
            read[name] = value
        return read

    return json.loads(text, object_pairs_hook=once)


def given_twice(*place: str | int) -> RequestRefused:
    """422: the name at `place` of the request stands there twice."""
    field = field_name(("body", *place))
    return RequestRefused(422, "invalid_request", f"{field}: is given twice", field)


_UNREADABLE = RequestRefused(
    422,
    "invalid_json",
    "body: cannot be read: it is not UTF-8, is nested too deeply, or has a number of thousands of digits",
    "body",
)


class _Once(Request):
    async def json(self) -> Any:
        try:
            return read_once(await self.body())
        except json.JSONDecodeError:
            raise
        except (ValueError, RecursionError):
            raise _UNREADABLE from None


class OnceRoute(APIRoute):
    """A route of FastAPI whose JSON bodies have every name once."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of a request, which gets it as FastAPI's own does."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(_Once(request.scope, request.receive))
            except HTTPException as error:  # FastAPI's 400 for whatever the reading of a body raises
                if isinstance(error.__cause__, RequestRefused):
                    raise error.__cause__ from None
                raise

        return handled
