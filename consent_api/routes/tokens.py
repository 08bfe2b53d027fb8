"""Client credentials (RFC 6749, section 4.4): whoever has a key may trade it for a token that ends by itself."""

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, Request, Security
from fastapi.security import HTTPBasic
from pydantic import BaseModel, Field

from consent_api.audit import Entry
from consent_api.callers.access import Admission, Visit
from consent_api.callers.identification import TOKEN_PATH
from consent_api.callers.issuers import OWN

router = APIRouter(tags=["token"])
_LIFETIME = timedelta(minutes=5)
_ID_AND_SECRET = HTTPBasic(
    scheme_name="ClientCredentials",
    auto_error=False,
    description="The two parts of a key opora-<id>-<secret>: the id as the name, the secret as the password.",
)


class KeyHolder(Admission):
    """Lets holders of keys in who send id and secret: a token cannot be traded for another one."""

    async def __call__(self, request: Request, _sent: Annotated[object, Security(_ID_AND_SECRET)]) -> Visit:  # type: ignore[override]
        return self.visit(request)


class Grant(BaseModel):
    """What is asked for; other parameters of RFC 6749 are ignored, as it demands."""

    grant_type: Literal["client_credentials"] = Field(description="Always client_credentials.")


class TokenAnswer(BaseModel):
    """A token, to be sent as `Authorization: Bearer ...`; it ends early when its key does."""

    access_token: str = Field(examples=["eyJhbGciOiJFZDI1NTE5IiwidHlwIjoiYXQrand0Iiwia2lkIjoi..."])
    token_type: Literal["Bearer"] = Field("Bearer", description="Always Bearer.")
    expires_in: int = Field(description="Seconds from now.", examples=[300])


@router.post(TOKEN_PATH)
async def trade(
    visit: Annotated[Visit, Depends(KeyHolder(("partner", "staff", "auditor")))],
    _grant: Annotated[Grant, Form()],
) -> TokenAnswer:
    """Get a token for a key; a token may change something once, and read until it ends."""
    principal = visit.principal
    await visit.write(
        lambda connection: visit.note(connection, Entry("token.issued", principal.key_id, {"role": principal.role}))
    )
    token = visit.service.issuers.own.token(principal.key_id, OWN, visit.at, _LIFETIME)
    return TokenAnswer(access_token=token, expires_in=int(_LIFETIME.total_seconds()))
