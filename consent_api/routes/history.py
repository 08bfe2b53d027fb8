"""What clients see of themselves, and how they are forgotten."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field

from consent_api import budget, history
from consent_api.audit import Entry
from consent_api.callers.access import Visit, allow
from consent_api.forgetting import erasure
from consent_api.pages import After, Limit
from consent_api.routes import own_data
from consent_api.routes.bodies import ClientPath
from consent_api.routes.changes import require_known, require_known_or_former
from consent_api.routes.history_bodies import ClientProfile, Disclosure, Disclosures, EventBody, History
from edge.csv_text import csv_text

router = APIRouter(tags=["client"])
Client = Annotated[Visit, Depends(allow("client"))]
Reader = Annotated[Visit, Depends(allow("client", "staff"))]
Form = Annotated[Literal["json", "csv"], Query(alias="format", description="csv: the same rows for a spreadsheet.")]
_NANO = 10**9
_CSV: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {"Link": {"description": "rel=next: the next page of a CSV that has one.", "schema": {"type": "string"}}},
        "content": {"text/csv": {"schema": {"type": "string"}}},
    }
}


class ErasureAnswer(BaseModel):
    """What becomes of a client's data."""

    message: str
    client_id: str
    due_at: datetime = Field(description="By when every row of the consent service that names the client is deleted.")


@router.get("/client/{client_id}")
def read_profile(visit: Client, client_id: ClientPath) -> ClientProfile:
    """The client's profile, and its own spending by month and by category."""
    visit.require_client(client_id)
    require_known(visit, client_id)
    with visit.writing() as connection:
        visit.note(connection, Entry("profile.read", client=client_id))
    return own_data.profile(visit.service.online, client_id)


@router.get("/client/{client_id}/history", response_model=History, responses=_CSV)
def read_history(
    visit: Reader, client_id: ClientPath, limit: Limit = 100, after: After = None, form: Form = "json"
) -> History | Response:
    """Every grant, change, withdrawal and end of the client's consents, oldest first."""
    visit.require_client(client_id)
    with visit.writing() as connection:
        require_known_or_former(visit, connection, client_id)
        found = history.events(connection, client_id, visit.at, limit, after)
        visit.note(connection, Entry("history.read", detail={"rows": len(found.rows)}, client=client_id))
    events = [EventBody.model_validate(row, from_attributes=True) for row in found.rows]
    if form == "csv":
        return _csv(EventBody, events, limit, found.next)
    return History(client_id=client_id, events=events, next=found.next)


@router.get("/client/{client_id}/disclosures", response_model=Disclosures, responses=_CSV)
def read_disclosures(
    visit: Reader, client_id: ClientPath, limit: Limit = 100, after: After = None, form: Form = "json"
) -> Disclosures | Response:
    """Which report for which company counted the client, and what it cost of its privacy budget of the year."""
    visit.require_client(client_id)
    with visit.writing() as connection:
        require_known_or_former(visit, connection, client_id)
        year = visit.at.year
        found = history.disclosures(connection, client_id, visit.service.catalogue, year, limit, after)
        spent = budget.client_spent(connection, client_id, year)
        visit.note(connection, Entry("disclosures.read", detail={"rows": len(found.rows)}, client=client_id))
    rows = [_disclosure(row) for row in found.rows]
    if form == "csv":
        return _csv(Disclosure, rows, limit, found.next)
    yearly = visit.service.config.yearly_client_rho
    return Disclosures(
        client_id=client_id, year=year, spent_rho=spent / _NANO, yearly_rho=yearly, disclosures=rows, next=found.next
    )


@router.post("/client/{client_id}/erasure", status_code=202)
def erase(visit: Reader, client_id: ClientPath) -> ErasureAnswer:
    """Withdraw every consent at once, and have all rows about the client deleted within ten working days."""
    visit.require_client(client_id)
    with visit.writing() as connection:
        require_known_or_former(visit, connection, client_id)
        due_at = erasure.due(visit.at, visit.service.config.erasure_working_days)
        due_at = erasure.request(connection, client_id, visit.actor, visit.at, due_at)
    return ErasureAnswer(message="all consents are withdrawn; the data will be deleted", client_id=client_id, due_at=due_at)


def _disclosure(row: Any) -> Disclosure:
    return Disclosure(
        at=row.begun_at,
        company=row.company,
        data_type=row.data_type,
        period=row.period,
        release_id=row.release_id,
        published=row.published,
        counted=row.rho_nano is not None,
        rho=(row.rho_nano or 0) / _NANO,
    )


def _csv(kind: type[BaseModel], rows: Sequence[BaseModel], limit: int, following: str | None) -> Response:
    """Rows for a spreadsheet; where they are not all, the header Link (RFC 8288) says how to go on."""
    names = list(kind.model_fields)
    cells = (list(vars(row).values()) for row in rows)
    query = urlencode({"format": "csv", "limit": limit, "after": following})
    headers = None if following is None else {"Link": f'<?{query}>; rel="next"'}
    return Response(csv_text([names, *cells]), media_type="text/csv; charset=utf-8", headers=headers)
