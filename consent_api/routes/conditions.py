"""What a request may ask for beside its body: to be done once, to what was read, and under the text that was shown."""

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

import orjson
from fastapi import Header, Request, Response
from sqlalchemy import Connection

from consent_api.record.current import version
from consent_api.record.notices import Language, Notices
from edge.errors import RequestRefused

VERSION = r"^[0-9A-Za-z.-]{1,32}$"
"""Names of versions of the texts."""
IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", pattern=r"^[\x21-\x7e]{1,255}$", description="Send the same key when you repeat a request."),
]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        pattern=r'^"\d{1,15}"$',
        description="ETag of the consent you decided on; when it has changed since, nothing is done.",
    ),
]
NoticeVersion = Annotated[
    str | None,
    Header(
        alias="Notice-Version",
        pattern=VERSION,
        description="Version of the text you showed, from GET /consent-notices.",
    ),
]
NoticeLanguage = Annotated[Language | None, Header(alias="Notice-Language", description="Language of the text you showed.")]
RESOURCE: dict[str, Any] = {
    "headers": {
        "ETag": {"description": "Version of the consent, for If-Match.", "schema": {"type": "string"}},
        "Location": {"description": "Where the consent is read.", "schema": {"type": "string"}},
    }
}
"""How OpenAPI describes the headers of an answer that is about one consent."""


@dataclass(frozen=True)
class Conditions:
    """The headers Idempotency-Key and If-Match."""

    idempotency_key: str | None = None
    if_match: str | None = None

    @classmethod
    async def of(cls, request: Request, idempotency_key: IdempotencyKey = None, if_match: IfMatch = None) -> "Conditions":
        """A dependency that gives those of a request.

        Raises:
            RequestRefused: 400, one of them came twice.
        """
        _require_once(request, "Idempotency-Key", "If-Match")
        return cls(idempotency_key, if_match)

    def require_unchanged(self, connection: Connection, client_code: str, company: str) -> None:
        """Check that the consent still is what the caller has read; call it after `expire` has written down what time has ended.

        Raises:
            RequestRefused: 409, it has changed.
        """
        current = version(connection, client_code, company)
        if self.if_match != etag(current):
            message = "this consent has changed since you read it: read it again, and decide on what it is now"
            raise RequestRefused(409, "consent_changed", message, "If-Match", {"ETag": etag(current)})


@dataclass(frozen=True)
class Shown:
    """The headers Notice-Version and Notice-Language."""

    notice_version: str | None = None
    notice_language: Language | None = None

    @classmethod
    async def of(cls, request: Request, notice_version: NoticeVersion = None, notice_language: NoticeLanguage = None) -> "Shown":
        """A dependency that gives those of a request.

        Raises:
            RequestRefused: 400, one of them came twice.
        """
        _require_once(request, "Notice-Version", "Notice-Language")
        return cls(notice_version, notice_language)

    def require_current(self, notices: Notices) -> None:
        """Check that the client has read the text that the consent will be recorded with.

        Raises:
            RequestRefused: 409, another one is in force.
        """
        if self.notice_version not in (None, notices.version):
            message = f"the text in force is version {notices.version}: show it (GET /consent-notices), and ask the client again"
            raise RequestRefused(409, "notice_changed", message, "Notice-Version")


def _require_once(request: Request, *headers: str) -> None:
    for name in headers:
        if len(request.headers.getlist(name)) > 1:
            raise RequestRefused(400, "repeated_header", f"send {name} once: it would be unclear which of them holds", name)


def etag(number: int) -> str:
    """The entity tag of a consent's version."""
    return f'"{number}"'


def about(body: bytes, status: int = 200) -> Response:
    """An answer with a `consent` in it, and the headers that say where it is and which version it has."""
    consent = orjson.loads(body)["consent"]
    headers = {"ETag": etag(consent["version"]), "Location": f"/consent/{quote(consent['consent_id'], safe='')}"}
    return Response(body, status, headers, "application/json")
