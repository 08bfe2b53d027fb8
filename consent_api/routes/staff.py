"""What bank staff do: ask a client for a consent on a company's behalf. Only the client can give it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from sqlalchemy import Connection

from consent_api import consents
from consent_api.audit import Entry
from consent_api.callers.access import Visit, allow
from consent_api.consents import Grant
from consent_api.forgetting import erasure
from consent_api.record.validity import ExpiryOutOfRange
from consent_api.routes.bodies import AskRequest, RequestAnswer
from consent_api.routes.changes import Change, make, require_known
from consent_api.routes.conditions import RESOURCE, Conditions, Shown
from edge.errors import RequestRefused, described
from edge.names import OnceRoute

router = APIRouter(tags=["staff"], route_class=OnceRoute)
_CHANGED = described({409: "the consent, or the text to be shown, has changed since it was read: nothing was done"})


@router.post("/consent-requests", status_code=201, response_model=RequestAnswer, responses={201: RESOURCE, **_CHANGED})
async def ask(
    visit: Annotated[Visit, Depends(allow("staff"))],
    body: AskRequest,
    conditions: Annotated[Conditions, Depends(Conditions.of)],
    shown: Annotated[Shown, Depends(Shown.of)],
) -> Response:
    """Ask a client for consent; it counts for nothing until the client agrees (POST /consent) or declines (DELETE)."""

    def carry_out(connection: Connection) -> str:
        require_known(visit, body.client_id)
        shown.require_current(visit.service.store.notices)
        return "client asked" if _ask(visit, connection, body, shown) else "already given or asked for"

    content = f"POST /consent-requests {body.model_dump_json()} {shown}"
    return await make(visit, Change(body.client_id, body.company, content, carry_out, receipted=False), conditions, status=201)


def _ask(visit: Visit, connection: Connection, body: AskRequest, shown: Shown) -> bool:
    purpose = body.purpose or visit.service.catalogue.default_purpose
    language = shown.notice_language
    asked = [Grant(body.client_id, body.company, each, purpose, body.expires_at, language) for each in body.data_types]
    erasure.carry_out_asked(connection, body.client_id, visit.actor, visit.at)
    try:
        new = consents.request(connection, asked, visit.actor, visit.at, channel="branch")
    except ExpiryOutOfRange as error:
        raise RequestRefused(422, "invalid_request", f"expires_at: {error}", "expires_at") from error
    if not new:  # what the answer shows is on record already, and showing it is a read
        visit.note(connection, Entry("consents.read", detail={"company": body.company}, client=body.client_id))
    return bool(new)
