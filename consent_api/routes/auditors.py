"""What auditors do: look things up, export, and check that the log is as it was written."""

from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from consent_api import audit, audit_log
from consent_api.audit import Entry
from consent_api.audit_log import Filter
from consent_api.callers.access import Visit, allow
from consent_api.callers.roles import CLIENT
from consent_api.custody import anchors
from consent_api.pages import MOST
from consent_api.routes.bodies import STORABLE, Moment

router = APIRouter(tags=["auditor"])
Auditor = Annotated[Visit, Depends(allow("auditor"))]
_TYPES = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}


_EXPORTED: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind: {"schema": {"type": "string"}} for kind in _TYPES.values()}}
}


class Wanted(BaseModel):
    """Which rows; other parameters are refused, because ignoring them would answer another question."""

    model_config = ConfigDict(extra="forbid")

    since: Moment | None = Field(None, description="Written at this moment or later.")
    before: Moment | None = Field(None, description="Written earlier than this moment.")
    actor: str | None = Field(
        None, max_length=128, pattern=STORABLE, description="Id of a credential, or a flow like flow:aggregate."
    )
    action: str | None = Field(None, max_length=64, pattern=STORABLE, description="Like consent.revoked.")
    object: str | None = Field(None, max_length=300, pattern=STORABLE, description="What it was about, exactly as rows state it.")
    client: str | None = Field(None, pattern=CLIENT, description="A client code; rows have its pseudonym.")

    def filter(self) -> Filter:
        """As a condition."""
        return Filter(**self.model_dump(include=set(Filter.__dataclass_fields__)))


class WantedPage(Wanted):
    """Which rows, and how many of them."""

    limit: int = Field(100, ge=1, le=MOST, description="Most rows of the answer.")
    after: str | None = Field(
        None, max_length=500, pattern=r"^[A-Za-z0-9_=-]+$", description="`next` of the page before; empty = the first."
    )


class WantedExport(Wanted):
    """Which rows, and in which form."""

    format: Literal["ndjson", "csv"] = "ndjson"


class AuditRow(BaseModel):
    """Something that happened, sealed."""

    sequence: int
    at: datetime
    request_id: str
    actor: str
    role: str
    action: str
    object: str
    detail: dict[str, Any]
    previous_hash: str
    hash: str


class AuditPage(BaseModel):
    """Rows in the order they were written."""

    rows: list[AuditRow]
    next: str | None = Field(description="Send it as `after` for the next page; null on the last one.")


class AuditCheck(BaseModel):
    """Whether the log is as it was written."""

    intact: bool
    rows: int = Field(description="How many rows are as they were written.")
    first_bad: int | None = Field(description="Number of the first row that is not.")
    problem: str


@router.get("/audit")
def read_audit(visit: Auditor, wanted: Annotated[WantedPage, Query()]) -> AuditPage:
    """Rows of the audit log by time, actor, action, object and client."""
    with visit.writing() as connection:
        found = audit_log.find(connection, wanted.filter(), wanted.limit, wanted.after)
        visit.note(connection, Entry("audit.read", "audit", {"rows": len(found.rows)}, wanted.client))
    rows = [AuditRow(**{**row._asdict(), "detail": orjson.loads(row.detail)}) for row in found.rows]
    return AuditPage(rows=rows, next=found.next)


@router.get("/audit/verify")
def verify_audit(visit: Auditor) -> AuditCheck:
    """Reads every row and compares what the end of the log was with what was noted outside the database; takes a while."""
    found = anchors.verified(visit.service.store)
    with visit.writing() as connection:
        visit.note(connection, Entry("audit.verified", "audit", {"rows": found.rows, "first_bad": found.first_bad}))
    return AuditCheck(intact=found.first_bad is None, rows=found.rows, first_bad=found.first_bad, problem=found.problem)


@router.get("/audit/export", response_class=StreamingResponse, responses=_EXPORTED)
def export_audit(visit: Auditor, wanted: Annotated[WantedExport, Query()]) -> StreamingResponse:
    """The rows there are now, that of this export being the last: one JSON object a line, or CSV."""
    with visit.writing() as connection:
        visit.note(connection, Entry("audit.exported", "audit", {"format": wanted.format}, wanted.client))
        upto = audit.head(connection).sequence
    pieces = audit_log.export(visit.service.store, wanted.filter(), wanted.format, upto)
    return StreamingResponse(pieces, media_type=_TYPES[wanted.format])
