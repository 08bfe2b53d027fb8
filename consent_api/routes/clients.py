"""What clients do: see, give and withdraw their consents."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from sqlalchemy import Connection

from consent_api import consents
from consent_api.audit import Entry
from consent_api.callers.access import Visit, allow
from consent_api.consents import Grant
from consent_api.forgetting import erasure
from consent_api.record import resources
from consent_api.record.current import parties
from consent_api.record.resources import ConsentBody
from consent_api.record.validity import ExpiryOutOfRange
from consent_api.routes.bodies import STORABLE, ClientConsents, ClientPath, ConsentAnswer, ConsentRequest, EverythingWithdrawn
from consent_api.routes.changes import Change, answered, make, require_known, require_known_or_former
from consent_api.routes.conditions import RESOURCE, Conditions, Shown, etag
from edge.errors import RequestRefused, described
from edge.names import OnceRoute

router = APIRouter(tags=["client"], route_class=OnceRoute)
Client = Annotated[Visit, Depends(allow("client"))]
Reader = Annotated[Visit, Depends(allow("client", "staff"))]
ConsentId = Annotated[
    str,
    Path(min_length=3, max_length=129, pattern=STORABLE, description="{client_id}_{company}", examples=["100008_dala-market"]),
]
_CHANGED = described({409: "the consent, or the text to be shown, has changed since it was read: nothing was done"})
_ONLINE = "online"
_UNKNOWN = RequestRefused(
    404, "unknown_consent", "no consent has ever been given under this id: see GET /client/{client_id}/consents"
)


@router.post("/consent", response_model=ConsentAnswer, responses={200: RESOURCE, **_CHANGED})
async def decide(
    visit: Client,
    body: ConsentRequest,
    conditions: Annotated[Conditions, Depends(Conditions.of)],
    shown: Annotated[Shown, Depends(Shown.of)],
) -> Response:
    """Give or withdraw consent. Giving again renews it; giving what the bank has asked for approves its request."""
    visit.require_client(body.client_id)

    def carry_out(connection: Connection) -> str:
        _require_listed(visit, connection, body)
        shown.require_current(visit.service.store.notices)
        return _give(visit, connection, body, shown) if body.is_active else _withdraw(visit, connection, body)

    content = f"POST /consent {body.model_dump_json()} {shown}"
    return await make(visit, Change(body.client_id, body.company, content, carry_out), conditions)


@router.get("/consent/{consent_id}", responses={200: RESOURCE})
async def read(visit: Reader, consent_id: ConsentId, response: Response) -> ConsentBody:
    """What the client has decided on one company; the ETag is what If-Match has to name."""
    client_code, company = parties(consent_id)
    visit.require_client(client_code)

    def find(connection: Connection) -> ConsentBody:
        found = resources.of_company(connection, client_code, company, visit.at)
        if not found.version:
            raise _UNKNOWN
        visit.note(connection, Entry("consents.read", detail={"company": company}, client=client_code))
        return found

    consent = await visit.write(find)
    response.headers["ETag"] = etag(consent.version)
    return consent


@router.delete("/consent/{consent_id}", response_model=ConsentAnswer, responses={200: RESOURCE, **_CHANGED})
async def withdraw(visit: Client, consent_id: ConsentId, conditions: Annotated[Conditions, Depends(Conditions.of)]) -> Response:
    """Withdraw everything a company was allowed, and decline what it asks for; doing so twice changes nothing."""
    client_code, company = parties(consent_id)
    visit.require_client(client_code)

    def carry_out(connection: Connection) -> str:
        if not consents.of_client(connection, client_code, visit.at, company):
            raise _UNKNOWN
        return _ended(consents.revoke(connection, client_code, company, visit.actor, visit.at, channel=_ONLINE))

    return await make(visit, Change(client_code, company, f"DELETE /consent/{consent_id}", carry_out), conditions)


@router.get("/client/{client_id}/consents")
async def list_consents(visit: Reader, client_id: ClientPath) -> ClientConsents:
    """The client's decisions, company by company."""
    visit.require_client(client_id)

    def find(connection: Connection) -> list[ConsentBody]:
        require_known_or_former(visit, connection, client_id)
        found = resources.of_client(connection, client_id, visit.at)
        visit.note(connection, Entry("consents.read", detail={"consents": len(found)}, client=client_id))
        return found

    return ClientConsents(client_id=client_id, consents=await visit.write(find))


@router.delete("/client/{client_id}/consents")
async def withdraw_everything(visit: Client, client_id: ClientPath) -> EverythingWithdrawn:
    """Withdraw all consents from all companies, and decline whatever is asked for; doing so twice changes nothing."""
    visit.require_client(client_id)

    def end(connection: Connection) -> list[ConsentAnswer]:
        require_known_or_former(visit, connection, client_id)
        ended = consents.revoke_everything(connection, client_id, visit.actor, visit.at, channel=_ONLINE)
        visit.note(connection, Entry("consents.withdrawn", detail={"companies": len(ended)}, client=client_id))
        return [answered(visit, connection, client_id, company, _ended(count)) for company, count in ended.items()]

    return EverythingWithdrawn(client_id=client_id, withdrawn=await visit.write(end))


def _require_listed(visit: Visit, connection: Connection, body: ConsentRequest) -> None:
    if body.is_active:
        require_known(visit, body.client_id)
    else:
        require_known_or_former(visit, connection, body.client_id)
    catalogue = visit.service.catalogue
    catalogue.require_company(body.company)
    catalogue.require_data_types(body.data_types)
    if body.purpose is not None:
        catalogue.require_purpose(body.purpose)


def _give(visit: Visit, connection: Connection, body: ConsentRequest, shown: Shown) -> str:
    purpose = body.purpose or visit.service.catalogue.default_purpose
    language = shown.notice_language
    wanted = [Grant(body.client_id, body.company, each, purpose, body.expires_at, language) for each in body.data_types]
    erasure.carry_out_asked(connection, body.client_id, visit.actor, visit.at)
    try:
        consents.grant(connection, wanted, visit.actor, visit.at, channel=_ONLINE)
    except ExpiryOutOfRange as error:
        raise RequestRefused(422, "invalid_request", f"expires_at: {error}", "expires_at") from error
    return "consent given"


def _withdraw(visit: Visit, connection: Connection, body: ConsentRequest) -> str:
    if body.expires_at is not None:
        raise RequestRefused(422, "invalid_request", "expires_at: belongs to giving consent, not to withdrawing it", "expires_at")
    party = (body.client_id, body.company)
    return _ended(consents.revoke(connection, *party, visit.actor, visit.at, body.data_types, body.purpose, channel=_ONLINE))


def _ended(count: int) -> str:
    return "consent withdrawn" if count else "nothing was active"
