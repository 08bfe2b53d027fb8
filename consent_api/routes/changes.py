"""Changing a consent on a caller's behalf: once, to what the caller has read, audited and receipted in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Response
from sqlalchemy import Connection

from consent_api import consents, idempotency, receipts
from consent_api.audit import Entry
from consent_api.callers.access import Visit
from consent_api.idempotency import Repeatable
from consent_api.record import resources
from consent_api.record.current import has_records
from consent_api.routes.bodies import ConsentAnswer, RequestAnswer
from consent_api.routes.conditions import Conditions, about
from edge.errors import RequestRefused

_UNKNOWN = RequestRefused(404, "unknown_client", "the bank has no client with this code", "client_id")


@dataclass(frozen=True)
class Change:
    """What is to be done to the consent of a client for a company.

    Attributes:
        content: everything that was asked, by which a repetition is told from another request.
        carry_out: does it in the given transaction and says what was done.
        receipted: whether the answer holds a receipt.
    """

    client_code: str
    company: str
    content: str
    carry_out: Callable[[Connection], str]
    receipted: bool = True


async def make(visit: Visit, change: Change, conditions: Conditions, status: int = 200) -> Response:
    """Carry out a change, unless it was before; answers with the consent as it then stood.

    Raises:
        RequestRefused: 404, the bank has no such client; 409, the consent has changed; 422, the key was used for something else.
    """
    content = change.content.encode("utf-8", "surrogatepass")
    request = Repeatable(visit.principal.caller, change.client_code, conditions.idempotency_key, content)

    def once(connection: Connection) -> bytes:
        answer, again = idempotency.once(connection, request, lambda: _made(visit, connection, change, conditions), visit.at)
        if again:
            visit.note(connection, Entry("consent.answered_again", detail={"company": change.company}, client=change.client_code))
        return answer

    return about(await visit.write(once), status)


def require_known(visit: Visit, client_code: str) -> None:
    """Raises RequestRefused: 404, the bank has no such client."""
    if not visit.service.knows(client_code):
        raise _UNKNOWN


def require_known_or_former(visit: Visit, connection: Connection, client_code: str) -> None:
    """As `require_known`, but that whoever has left the bank still sees, ends and has erased what it once decided.

    Raises:
        RequestRefused: 404, neither the bank nor its consents have such a client.
    """
    if not has_records(connection, client_code) and not visit.service.knows(client_code):
        raise _UNKNOWN


def _made(visit: Visit, connection: Connection, change: Change, conditions: Conditions) -> bytes:
    client_code, company = change.client_code, change.company
    if conditions.if_match is not None:
        consents.expire(connection, visit.at, company, {client_code})
        conditions.require_unchanged(connection, client_code, company)
    message = change.carry_out(connection)
    if change.receipted:
        return answered(visit, connection, client_code, company, message).model_dump_json().encode()
    consent = resources.as_written(connection, client_code, company)
    return RequestAnswer(message=message, consent_id=consent.consent_id, consent=consent).model_dump_json().encode()


def answered(visit: Visit, connection: Connection, client_code: str, company: str, message: str) -> ConsentAnswer:
    """The consent as the transaction leaves it, with its receipt."""
    consent = resources.as_written(connection, client_code, company)
    receipt = receipts.issue(connection, consent, visit.at)
    return ConsentAnswer(message=message, consent_id=consent.consent_id, consent=consent, receipt=receipt)
