"""Who may call what: every route names its roles, and every visit states whose data it is about."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote
from uuid import uuid4

from fastapi import Request, Security
from fastapi.security import APIKeyHeader
from sqlalchemy import Connection
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from consent_api import audit
from consent_api.audit import Actor, Entry
from consent_api.auth import Keyring, Principal, Role
from consent_api.catalogue import Catalogue
from consent_api.store import Store
from edge.errors import RequestRefused

API_KEY = APIKeyHeader(
    name="X-API-Key", auto_error=False, description="A key of a client, a partner or staff: python -m consent_api.auth issue."
)
_NO_KEY = RequestRefused(
    401, "unauthorized", "send a valid key in the header X-API-Key", headers={"WWW-Authenticate": "X-API-Key"}
)
_LONGEST_OBJECT = 300


@dataclass(frozen=True)
class Service:
    """What stands behind the routes; `knows` says whether a client code is one of the bank's."""

    store: Store
    keyring: Keyring
    catalogue: Catalogue
    knows: Callable[[str], bool]
    now: Callable[[], datetime]


@dataclass
class Visit:
    """One request of a caller whose key and role were checked; `at` is when its transaction began."""

    service: Service
    principal: Principal
    request_id: str
    at: datetime = field(init=False)

    @property
    def actor(self) -> Actor:
        """The caller, as audit rows name it."""
        return Actor(self.principal.key_id, self.principal.role, self.request_id)

    def require_client(self, client_code: str) -> None:
        """Raises RequestRefused: 403, a client asks about somebody else."""
        if self.principal.role == "client" and self.principal.subject != client_code:
            raise RequestRefused(403, "forbidden", "this key is another client's: a client sees and decides on its own data only")

    def require_company(self, company: str) -> None:
        """Raises RequestRefused: 403, a partner asks about another company."""
        if self.principal.role == "partner" and self.principal.subject != company:
            raise RequestRefused(403, "forbidden", "this key is another company's: a partner sees its own company only")

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """The transaction in which the visit reads, writes and is audited: all of it happens or none."""
        with self.service.store.writing() as connection:
            self.at = self.service.now()  # after waiting for other writers
            yield connection

    def note(self, connection: Connection, entry: Entry) -> None:
        """Write the audit row of this visit."""
        audit.append(connection, self.actor, self.at, [entry])


def allow(*roles: Role) -> Callable[..., Visit]:
    """A dependency that lets callers with one of these roles in, and refuses everybody else before the request is looked at."""

    def admitted(request: Request, key: str | None = Security(API_KEY)) -> Visit:
        service: Service = request.app.state.service
        principal = service.keyring.recognise(key)
        if principal is None:
            raise _NO_KEY
        request.state.principal = principal
        if principal.role not in roles:
            raise RequestRefused(403, "forbidden", f"this address is for {' and '.join(roles)} keys")
        return Visit(service, principal, request.state.request_id)

    return admitted


def note_refusal(request: Request, status: int, code: str) -> None:
    """Audit that a request was refused, in a transaction of its own.

    Raises:
        DBAPIError: the row could not be written, so the refusal must not be told either.
    """
    service: Service = request.app.state.service
    principal: Principal | None = getattr(request.state, "principal", None)
    name, role = (principal.key_id, principal.role) if principal else ("unknown", "none")
    target = f"{request.method} {quote(request.url.path, errors='replace')}"[:_LONGEST_OBJECT]
    with service.store.writing() as connection:
        entry = Entry("request.refused", target, {"status": status, "code": code})
        audit.append(connection, Actor(name, role, request.state.request_id), service.now(), [entry])


class RequestIds:
    """ASGI middleware: gives every request an id, which its audit rows and its answer (X-Request-Id) carry."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identifier = uuid4().hex
        scope.setdefault("state", {})["request_id"] = identifier

        async def signed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-Id"] = identifier
            await send(message)

        await self._app(scope, receive, signed)
