"""Who may call what: every route names its roles, and every visit states whose data it is about."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from fastapi import Request, Security
from fastapi.dependencies.models import Dependant
from fastapi.security import APIKeyHeader, HTTPBearer
from sqlalchemy import Connection

from consent_api import audit, idempotency
from consent_api.audit import Actor, Entry
from consent_api.callers import token_uses
from consent_api.callers.roles import Principal, Role
from consent_api.committer import Answer, Work
from consent_api.service import Service
from edge.errors import RequestRefused

TOKEN = HTTPBearer(auto_error=False, bearerFormat="JWT", description="A client's token, or one from POST /oauth/token.")
API_KEY = APIKeyHeader(
    name="X-API-Key", auto_error=False, description="A key of a partner, staff or an auditor: python -m consent_api.auth issue."
)
_REPEATS = "idempotency-key"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass
class Visit:
    """One request of a caller whose credential and role were checked; `at` is when its transaction began.

    `repeats` is the request's Idempotency-Key, `changes` whether it is one that may change anything.
    """

    service: Service
    principal: Principal
    request_id: str
    changes: bool = False
    repeats: str | None = None
    at: datetime = field(init=False)

    @property
    def actor(self) -> Actor:
        """The caller, as audit rows name it."""
        return Actor(self.principal.key_id, self.principal.role, self.request_id)

    def require_client(self, client_code: str) -> None:
        """Raises RequestRefused: 403, a client asks about somebody else."""
        if self.principal.role == "client" and self.principal.subject != client_code:
            raise RequestRefused(403, "forbidden", "you are another client: a client sees and decides on its own data only")

    def require_company(self, company: str) -> None:
        """Raises RequestRefused: 403, a partner asks about another company."""
        if self.principal.role == "partner" and self.principal.subject != company:
            raise RequestRefused(403, "forbidden", "you are another company: a partner sees its own company only")

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """The transaction in which the visit reads, writes and is audited: all of it happens or none."""
        with self.service.store.writing() as connection:
            self.begin(connection)
            yield connection

    async def write(self, work: Work[Answer]) -> Answer:
        """Have `work` read, write and audit as within `writing`, in a transaction that it may share with other visits."""

        def begun(connection: Connection) -> Answer:
            self.begin(connection)
            return work(connection)

        return await self.service.store.written(begun)

    def begin(self, connection: Connection) -> None:
        """Take the time, after waiting for other writers, and let the visit's token change something only once.

        Raises:
            RequestRefused: 401, the token has changed something before, and this is no repetition of that request.
        """
        self.at = self.service.now()
        token, good_until = self.principal.token_id, self.principal.good_until
        if not self.changes or token is None or good_until is None:
            return
        self.changes = False  # a visit may take several transactions
        if self.repeats is None or not idempotency.is_known(connection, self.principal.caller, self.repeats):
            token_uses.spend(connection, token, good_until, self.at)

    def note(self, connection: Connection, entry: Entry) -> None:
        """Write the audit row of this visit."""
        audit.append(connection, self.actor, self.at, [entry])


class Admission:
    """A dependency that lets callers with one of its roles in."""

    def __init__(self, roles: tuple[Role, ...]) -> None:
        self.roles = roles

    async def __call__(
        self, request: Request, _token: Annotated[object, Security(TOKEN)], _key: Annotated[object, Security(API_KEY)]
    ) -> Visit:
        return self.visit(request)

    def visit(self, request: Request) -> Visit:
        """The visit of this request's caller.

        Raises:
            RequestRefused: 403, its role is none of these; 422, it asks two things of one parameter.
        """
        principal: Principal = request.state.principal
        if principal.role not in self.roles:
            raise RequestRefused(403, "forbidden", f"this address is for {' and '.join(self.roles)} only")
        asked = request.query_params.multi_items()
        if len(dict(asked)) < len(asked):
            raise RequestRefused(422, "repeated_parameter", "give each parameter once: it would be unclear what is asked")
        repeats = request.headers.get(_REPEATS)
        if repeats is not None and not _honours_repeats(request.scope["route"].dependant):
            repeats = None
        changes = request.method not in _READING
        return Visit(request.app.state.service, principal, request.state.request_id, changes, repeats)


def _honours_repeats(dependant: Dependant) -> bool:
    """Whether a route has the header as a parameter: one that ignores it would change something again."""
    return any(each.alias.lower() == _REPEATS for each in dependant.header_params) or any(
        _honours_repeats(each) for each in dependant.dependencies
    )


def allow(*roles: Role) -> Admission:
    """A dependency that gives the `Visit` of callers with one of these roles, and refuses everybody else."""
    return Admission(roles)


async def everyone() -> None:
    """A dependency that does nothing but declare that a route asks nobody for a credential."""
