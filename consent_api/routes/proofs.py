"""What proves a consent: the texts word for word, the keys that sign receipts, and the schema of a record."""

from functools import cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from consent_api.audit import Entry
from consent_api.callers.access import Visit, allow, everyone
from consent_api.record import notices
from consent_api.record.notices import Language, Notice
from consent_api.routes.bodies import Name
from consent_api.routes.conditions import VERSION
from consent_api.service import Service
from edge.errors import RequestRefused

router = APIRouter(tags=["proof"])
_NOT_KEPT = RequestRefused(404, "unknown_notice", "no text about this company was in force under this version", "version")


class JsonSchema(Response):
    """A JSON Schema, as such."""

    media_type = "application/schema+json"


class NoticeText(BaseModel):
    """One text, to be shown before the client consents."""

    data_type: str
    purpose: str
    text: str
    text_sha256: str = Field(description="SHA-256 of the text in UTF-8, as records and receipts quote it.")


class NoticeTexts(BaseModel):
    """The texts about one company: those in force, or those of an earlier version."""

    company: str
    version: str = Field(description="To be sent back as Notice-Version when it is the one in force.")
    language: Language
    notices: list[NoticeText]


@router.get("/consent-notices")
async def consent_notices(
    visit: Annotated[Visit, Depends(allow("client", "staff", "auditor"))],
    company: Annotated[Name, Query(description="One of GET /companies.")],
    language: Annotated[Language | None, Query(description="By default the language that clients are addressed in.")] = None,
    version: Annotated[
        str | None, Query(pattern=VERSION, description="The one that a record names; by default that in force.")
    ] = None,
) -> NoticeTexts:
    """The texts a client has to be shown before consenting, by data type and purpose; or those it was shown, word for word."""
    in_force = visit.service.store.notices
    spoken, wanted = language or in_force.default_language, version or in_force.version

    def find(connection: Connection) -> list[Notice]:
        visit.note(connection, Entry("catalogue.read", "consent-notices"))
        is_in_force = wanted == in_force.version
        found = in_force.of_company(company, spoken) if is_in_force else notices.former(connection, company, wanted, spoken)
        if not found:
            raise _NOT_KEPT
        return found

    texts = [_text(notice) for notice in await visit.write(find)]
    return NoticeTexts(company=company, version=wanted, language=spoken, notices=texts)


@router.get("/.well-known/jwks.json", dependencies=[Depends(everyone)])
def published_keys(request: Request) -> dict[str, Any]:
    """The public keys of receipts (RFC 7517), also of those signed before a rotation."""
    service: Service = request.app.state.service
    return service.store.custody.receipt_keys.published()


@router.get(
    "/consent-record.schema.json",
    dependencies=[Depends(everyone)],
    response_class=JsonSchema,
    responses={200: {"content": {JsonSchema.media_type: {"schema": {"type": "object"}}}}},
)
def record_schema() -> Response:
    """JSON Schema (2020-12) of a consent record, as answers and receipts hold it."""
    return JsonSchema(_schema())


@cache
def _schema() -> bytes:
    return Path(__file__).with_name("record.schema.json").read_bytes()


def _text(notice: Notice) -> NoticeText:
    stated = notice.document
    return NoticeText(data_type=notice.data_type, purpose=notice.purpose, text=stated["text"], text_sha256=stated["text_sha256"])
