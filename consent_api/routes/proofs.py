"""What proves a consent: the texts word for word, the keys that sign receipts, and the schema of a record."""

from functools import cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from consent_api.audit import Entry
from consent_api.callers.access import Visit, allow, everyone
from consent_api.record.notices import Language, Notice
from consent_api.routes.bodies import Name
from consent_api.service import Service

router = APIRouter(tags=["proof"])


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
    """The texts in force about one company."""

    company: str
    version: str = Field(description="To be sent back as Notice-Version.")
    language: Language
    notices: list[NoticeText]


@router.get("/consent-notices")
async def consent_notices(
    visit: Annotated[Visit, Depends(allow("client", "staff", "auditor"))],
    company: Annotated[Name, Query(description="One of GET /companies.")],
    language: Annotated[Language | None, Query(description="By default the language that clients are addressed in.")] = None,
) -> NoticeTexts:
    """The texts a client has to be shown before consenting, by data type and purpose."""
    notices = visit.service.store.notices
    spoken = language or notices.default_language
    texts = [_text(notice) for notice in notices.of_company(company, spoken)]
    await visit.write(lambda connection: visit.note(connection, Entry("catalogue.read", "consent-notices")))
    return NoticeTexts(company=company, version=notices.version, language=spoken, notices=texts)


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
