"""Whom a request comes from: found out before anything of it is read, and strangers are turned away."""

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from consent_api.callers import token_uses
from consent_api.callers.issuers import OWN
from consent_api.callers.refusals import AWAY, STORE_FAILURES, told
from consent_api.callers.roles import CLIENT, Principal
from consent_api.callers.tokens import InvalidToken, verified
from consent_api.callers.trust import Trust
from consent_api.service import Service
from edge.errors import RequestRefused
from edge.keys import OPEN_PATHS
from edge.rates import Buckets, address_of, hold, too_many

TOKEN_PATH = "/oauth/token"  # noqa: S105 - an address
"""Where id and secret of a key are sent, and nothing else is; they are not accepted anywhere else."""
_CHALLENGE = 'Bearer realm="opora"'
_NOBODY = RequestRefused(
    401,
    "unauthorized",
    "send a token (Authorization: Bearer ...) or a key (X-API-Key: ...) that is in force",
    headers={"WWW-Authenticate": _CHALLENGE},
)
_NO_HOLDER = RequestRefused(
    401,
    "invalid_client",
    "send the id and the secret of a key that is in force: Authorization: Basic base64(id:secret)",
    headers={"WWW-Authenticate": 'Basic realm="opora"'},
)
_TWO = RequestRefused(400, "two_credentials", "send a token or a key, not both: it would be unclear who calls")


class Authenticator:
    """Finds the principal of a credential; that a credential has ended is noticed half a second later at most."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._trust = Trust(service.store)

    async def identify(self, path: str, headers: Headers) -> Principal | None:
        """Who sends these headers to `path`; None: they carry no credential.

        Raises:
            RequestRefused: 401, the credential is none or is not in force; 400, there are two; 503, it cannot be checked now.
            DBAPIError: the database is away.
        """
        tokens, keys = headers.getlist("authorization"), headers.getlist("x-api-key")
        if len(tokens) + len(keys) > 1:
            raise _TWO
        if not tokens and not keys:
            return None
        if path == TOKEN_PATH:
            return await run_in_threadpool(self._by_secret, (tokens or [""])[0])
        look_up, credential = (self._by_token, tokens[0]) if tokens else (self._by_key, keys[0])
        name = _name(look_up, credential)
        return self._known(name) or await run_in_threadpool(self._found, name, look_up, credential)

    def trusted(self, headers: Mapping[bytes, bytes]) -> Principal | None:
        """Who sends these headers (none of them twice), if that was found out a moment ago; None: `identify` has to say it."""
        token, key = headers.get(b"authorization"), headers.get(b"x-api-key")
        if key is not None and token is None:
            return self._known(_name(self._by_key, key.decode("latin-1")))
        return self._known(_name(self._by_token, token.decode("latin-1"))) if token is not None and key is None else None

    def _known(self, name: bytes) -> Principal | None:
        return self._trust.known(name, self._service.now())

    def _found(self, name: bytes, look_up: Callable[[str], Principal | None], credential: str) -> Principal:
        ends = self._trust.ends()
        if principal := self._known(name) or look_up(credential):
            self._trust.add(name, principal, ends)
            return principal
        raise _NOBODY

    def _by_key(self, key: str) -> Principal | None:
        return self._service.keyring.recognise(key, self._service.now())

    def _by_secret(self, header: str) -> Principal:
        scheme, _, encoded = header.partition(" ")
        try:
            key_id, _, secret = b64decode(encoded, validate=True).decode("ascii").partition(":")
        except ValueError:
            raise _NO_HOLDER from None
        holder = self._by_key(f"opora-{key_id}-{secret}")
        if holder is None or scheme.lower() != "basic":
            raise _NO_HOLDER
        return holder

    def _by_token(self, header: str) -> Principal | None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            raise _NOBODY
        at = self._service.now()
        try:
            claims = verified(token.strip(" "), self._service.issuers.accepted, at)
        except InvalidToken as error:
            raise _refused_token(str(error)) from error
        with self._service.store.reading() as connection:
            if token_uses.is_revoked(connection, claims.token_id):
                raise _refused_token("it was revoked")
            if claims.issuer != OWN:
                if not re.fullmatch(CLIENT, claims.subject):
                    raise _refused_token("its sub is no client code")
                return Principal(claims.token_id, "client", claims.subject, claims.good_until, claims.token_id)
            holder = self._service.keyring.by_id(connection, claims.subject, at)
        if holder is None:
            return None
        ends = min(claims.good_until, holder.good_until or claims.good_until)
        return replace(holder, good_until=ends, token_id=claims.token_id)


def _name(look_up: Callable[[str], Principal | None], credential: str) -> bytes:
    """What a credential that was found in force is remembered under: not itself."""
    return sha256(f"{look_up.__name__} {credential}".encode()).digest()


def _refused_token(reason: str) -> RequestRefused:
    headers = {"WWW-Authenticate": f'{_CHALLENGE}, error="invalid_token"'}
    return RequestRefused(401, "invalid_token", f"the token is not accepted: {reason}", headers=headers)


class Identification:
    """ASGI middleware: `scope["state"]` gets the `principal` and, for the rate limit, the `caller`; or the `refusal`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            state = scope["state"]
            try:
                state["principal"] = await scope["app"].state.authenticator.identify(scope["path"], Headers(scope=scope))
            except RequestRefused as refusal:
                state["refusal"] = refusal
            except STORE_FAILURES:
                state["refusal"] = AWAY
            if state.get("principal") is not None:
                state["caller"] = state["principal"].caller
        await self._app(scope, receive, send)


class Entrance:
    """ASGI middleware: whoever is not identified reaches the public paths only; each refusal is audited.

    Args:
        app: what is behind it.
        public: the paths that ask nobody.
        strangers: how often one address may be refused; what comes on top is not even audited.
    """

    def __init__(self, app: ASGIApp, public: frozenset[str], strangers: Buckets) -> None:
        self._app = app
        self._public = public
        self._strangers = strangers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._public or scope["state"].get("principal") is not None:
            await self._app(scope, receive, send)
            return
        wait = self._strangers.wait(address_of(scope))
        if wait:
            await hold()
            await too_many(self._strangers, wait).response()(scope, receive, send)
            return
        refusal = scope["state"].get("refusal", _NO_HOLDER if scope["path"] == TOKEN_PATH else _NOBODY)
        answer = await told(Request(scope), refusal)
        await answer(scope, receive, send)
