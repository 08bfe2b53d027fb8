"""A short way to the releases: what a plain read has to pass is asked in one place, for passing it takes longest."""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl
from uuid import uuid4

from fastapi import FastAPI, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from consent_api.callers.access import Visit
from consent_api.callers.caching import keep_nowhere
from consent_api.callers.refusals import STORE_FAILURES, store_away
from consent_api.catalogue import NotInCatalogue
from consent_api.committer import Answer, Work
from consent_api.routes import partners
from consent_api.routes.partner_bodies import ReportQuery, SeriesQuery
from edge.errors import RequestRefused
from edge.lane import Guard, Toll
from edge.observation import keep, unexpected

_PATH = re.compile(r"/aggregated-data/([a-z0-9-]{1,64})(?:/([a-z0-9_]{1,64}))?", re.ASCII)
_USUAL = frozenset({b"host", b"user-agent", b"accept", b"accept-encoding", b"accept-language", b"connection"}) | {
    b"x-api-key",
    b"authorization",
    b"if-none-match",
    b"x-request-id",
    b"traceparent",
    b"tracestate",
}
"""Headers that ask for nothing, or for what is seen to here. Origin, a body's length, a proxy's word, … take the long way."""
_LONGEST_HEADER = 1000
_Endpoint = Callable[..., Awaitable[Response]]


class ShortWay:
    """ASGI application in front of `app`: a plain read of releases that every guard approves is answered by its endpoint at once.

    Every other request, also one that is to be refused, goes the long way, where it is refused as always; so nothing is decided
    here that is not decided there.

    Args:
        app: the long way, with every middleware.
        core: the application inside, which holds the service and knows whose credential was found in force a moment ago.
        hosts: what `app` asks of every request's Host.
        toll: the rate limit of `app`, where there is one; paid once a request is sure to be answered here.
    """

    def __init__(self, app: ASGIApp, core: FastAPI, hosts: Guard, toll: Toll | None) -> None:
        self._app = app
        self._core = core
        self._hosts = hosts
        self._toll = toll
        self._templates = {each.endpoint: each.path for each in partners.router.routes if isinstance(each, APIRoute)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _PATH.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        if path is None or not await self._answered(scope, send, *path.groups()):
            await self._app(scope, receive, send)

    async def _answered(self, scope: Scope, send: Send, company: str, data_type: str | None) -> bool:
        """Whether the request was answered; False: it has to go the long way."""
        started = time.perf_counter()
        headers, asked = dict(scope["headers"]), _query(scope["query_string"])
        principal = self._core.state.authenticator.trusted(headers) if self._is_plain(scope, headers) else None
        if asked is None or principal is None or principal.role not in partners.READERS.roles:
            return False
        request_id = scope.setdefault("state", {})["request_id"] = uuid4().hex
        visit = _PaidVisit(self._core.state.service, principal, request_id)
        visit.toll = self._toll
        endpoint: _Endpoint = partners.aggregated if data_type is None else partners.aggregated_of_type
        response = await _read(scope, visit, endpoint, [company] if data_type is None else [company, data_type], asked, headers)
        if response is None:
            return False
        keep_nowhere(response.headers)
        answer_headers = [*response.raw_headers, (b"x-request-id", request_id.encode())]
        await send({"type": "http.response.start", "status": response.status_code, "headers": answer_headers})
        await send({"type": "http.response.body", "body": response.body})
        keep(scope, self._templates[endpoint], response.status_code, time.perf_counter() - started)
        return True

    def _is_plain(self, scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
        return (
            not scope.get("root_path")
            and len(headers) == len(scope["headers"])
            and headers.keys() <= _USUAL
            and max(len(headers.get(name, b"")) for name in (b"accept", b"if-none-match")) <= _LONGEST_HEADER
            and self._hosts.admits(scope)
        )


class _PaidVisit(Visit):
    """A visit that pays the toll before it reads: by then nothing but the database can refuse it."""

    toll: Toll | None = None

    async def write(self, work: Work[Answer]) -> Answer:
        refusal = self.toll({"state": {"caller": self.principal.caller}}) if self.toll else None
        if refusal is not None:
            raise refusal
        return await super().write(work)


async def _read(
    scope: Scope, visit: Visit, endpoint: _Endpoint, names: list[str], asked: Mapping[str, str], headers: Mapping[bytes, bytes]
) -> Response | None:
    """What the endpoint says; None: the long way has to say it."""
    known, accept = (_text(headers.get(name)) for name in (b"if-none-match", b"accept"))
    try:
        query = (ReportQuery if len(names) == 1 else SeriesQuery).model_validate(asked)
        return await endpoint(visit, *names, query, known, accept)
    except (RequestRefused, NotInCatalogue, ValidationError):
        return None
    except STORE_FAILURES as error:
        return store_away(error)
    except Exception as error:  # noqa: BLE001 - as on the long way: the caller gets the one error shape and the log the place
        return unexpected(scope, error).response()


def _text(header: bytes | None) -> str | None:
    return None if header is None else header.decode("latin-1")


def _query(text: bytes) -> dict[str, str] | None:
    """The parameters by name; None when one is given twice."""
    pairs = parse_qsl(text.decode("latin-1"), keep_blank_values=True)
    return dict(pairs) if len(dict(pairs)) == len(pairs) else None
