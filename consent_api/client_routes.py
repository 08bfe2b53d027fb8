"""What clients do: see, give and withdraw their consents."""

from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Response
from sqlalchemy import Connection

from consent_api import consents, idempotency
from consent_api.access import Visit, allow
from consent_api.audit import Entry
from consent_api.bodies import ClientConsents, ClientPath, ConsentAnswer, ConsentRequest, consent_body
from consent_api.consents import ExpiryOutOfRange, Grant
from edge.errors import RequestRefused

router = APIRouter(tags=["client"])
IdempotencyKey = Annotated[
    str | None, Header(pattern=r"^[\x21-\x7e]{1,255}$", description="Send the same key when you repeat a request.")
]
ConsentId = Annotated[str, Path(min_length=3, max_length=129, description="{client_id}_{company}")]


@router.post("/consent", response_model=ConsentAnswer)
def decide(
    visit: Annotated[Visit, Depends(allow("client"))], body: ConsentRequest, idempotency_key: IdempotencyKey = None
) -> Response:
    """Give or withdraw consent; giving again renews it."""
    visit.require_client(body.client_id)
    with visit.writing() as connection:
        answer = _once(visit, connection, body, idempotency_key)
    return Response(answer, media_type="application/json")


@router.delete("/consent/{consent_id}")
def withdraw(visit: Annotated[Visit, Depends(allow("client"))], consent_id: ConsentId) -> ConsentAnswer:
    """Withdraw everything a company was allowed; doing so twice changes nothing."""
    client_code, company = consents.parties(consent_id)
    visit.require_client(client_code)
    with visit.writing() as connection:
        if not consents.of_client(connection, client_code, visit.at, company):
            raise RequestRefused(
                404, "unknown_consent", "no consent has ever been given under this id: see GET /client/{id}/consents"
            )
        ended = consents.revoke(connection, client_code, company, visit.actor, visit.at)
        return _answer(visit, connection, client_code, company, "consent withdrawn" if ended else "nothing was active")


@router.get("/client/{client_id}/consents")
def list_consents(visit: Annotated[Visit, Depends(allow("client", "staff"))], client_id: ClientPath) -> ClientConsents:
    """The client's decisions, company by company."""
    visit.require_client(client_id)
    with visit.writing() as connection:
        _require_known(visit, client_id)
        records = sorted(consents.of_client(connection, client_id, visit.at), key=lambda record: record.key)
        bodies = [consent_body(client_id, company, list(of)) for company, of in groupby(records, lambda record: record.company)]
        visit.note(connection, Entry("consents.read", f"client/{client_id}", {"consents": len(bodies)}))
    return ClientConsents(client_id=client_id, consents=bodies)


def _once(visit: Visit, connection: Connection, body: ConsentRequest, key: str | None) -> bytes:
    if key is None:
        return _decide(visit, connection, body)
    owner, request = f"{visit.principal.role}:{visit.principal.subject}", body.model_dump_json().encode()
    before = idempotency.answered_before(connection, owner, key, request)
    if before is not None:
        visit.note(connection, Entry("consent.answered_again", consents.consent_id(body.client_id, body.company)))
        return before
    answer = _decide(visit, connection, body)
    idempotency.remember(connection, owner, key, request, answer, visit.at)
    return answer


def _decide(visit: Visit, connection: Connection, body: ConsentRequest) -> bytes:
    _require_known(visit, body.client_id)
    catalogue = visit.service.catalogue
    catalogue.require_company(body.company)
    catalogue.require_data_types(body.data_types)
    if body.purpose is not None:
        catalogue.require_purpose(body.purpose)
    message = _grant(visit, connection, body) if body.is_active else _revoke(visit, connection, body)
    return _answer(visit, connection, body.client_id, body.company, message).model_dump_json().encode()


def _grant(visit: Visit, connection: Connection, body: ConsentRequest) -> str:
    purpose = body.purpose or visit.service.catalogue.default_purpose
    wanted = [Grant(body.client_id, body.company, each, purpose, body.expires_at) for each in body.data_types]
    try:
        consents.grant(connection, wanted, visit.actor, visit.at)
    except ExpiryOutOfRange as error:
        raise RequestRefused(422, "invalid_request", f"expires_at: {error}", "expires_at") from error
    return "consent given"


def _revoke(visit: Visit, connection: Connection, body: ConsentRequest) -> str:
    if body.expires_at is not None:
        raise RequestRefused(422, "invalid_request", "expires_at: belongs to giving consent, not to withdrawing it", "expires_at")
    ended = consents.revoke(connection, body.client_id, body.company, visit.actor, visit.at, body.data_types, body.purpose)
    return "consent withdrawn" if ended else "nothing was active"


def _answer(visit: Visit, connection: Connection, client_code: str, company: str, message: str) -> ConsentAnswer:
    records = consents.of_client(connection, client_code, visit.at, company)
    body = consent_body(client_code, company, records)
    return ConsentAnswer(message=message, consent_id=body.consent_id, consent=body)


def _require_known(visit: Visit, client_code: str) -> None:
    if not visit.service.knows(client_code):
        raise RequestRefused(404, "unknown_client", "the bank has no client with this code", "client_id")
