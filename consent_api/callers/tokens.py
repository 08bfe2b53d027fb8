"""Bearer tokens (JWT, RFC 7519, after the advice of RFC 8725): made and checked. What a token allows is decided elsewhere."""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import Key, OKPKey

from consent_api.callers.key_sets import KeySource

ALGORITHMS = ("EdDSA", "Ed25519", "ES256", "RS256", "PS256")
"""Signatures that only the holder of a private key can make."""
LEEWAY = timedelta(seconds=10)
"""How far the issuer's clock may be off."""
ACCESS_TOKEN = "at+jwt"  # noqa: S105 - the media type of RFC 9068
_LONGEST = 8192
_TOKEN_NAME = re.compile(r"[\x21-\x7e]{8,256}")
_ESSENTIAL = ("iss", "aud", "sub", "exp", "iat", "nbf", "jti")
_REGISTRY = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)


class InvalidToken(Exception):
    """A token that proves nothing; the message says why and quotes none of it."""


@dataclass(frozen=True)
class Issuer:
    """Who may sign tokens, for whom, of which media types (`typ`), and how long they may live at most."""

    name: str
    audience: str
    keys: KeySource
    types: frozenset[str]
    lifetime: timedelta


@dataclass(frozen=True)
class Claims:
    """What a token proves: that `issuer` says the caller is `subject`."""

    issuer: str
    subject: str
    token_id: str
    good_until: datetime


@dataclass(frozen=True)
class Signer:
    """Makes tokens under the name `issuer` with a private Ed25519 key."""

    issuer: str
    key: OKPKey

    def token(self, subject: str, audience: str, at: datetime, lifetime: timedelta) -> str:
        """A token about `subject` that is good from `at` for `lifetime`."""
        start = int(at.timestamp())
        times = {"iat": start, "nbf": start, "exp": start + int(lifetime.total_seconds())}
        claims = {"iss": self.issuer, "sub": subject, "aud": audience, "jti": secrets.token_urlsafe(16), **times}
        header = {"alg": "Ed25519", "typ": ACCESS_TOKEN, "kid": self.key.kid}
        return jwt.encode(header, claims, self.key, ALGORITHMS)


def verified(text: str, issuers: Mapping[str, Issuer], at: datetime) -> Claims:
    """What the token proves at the moment `at`.

    Raises:
        InvalidToken: nothing.
        RequestRefused: 503, the issuer's keys cannot be read now.
    """
    if len(text) > _LONGEST or not text.isascii():
        raise InvalidToken("it is no JWT")
    try:
        signed = jws.extract_compact(text.encode(), registry=_REGISTRY)
        claims = _claims(signed.payload)
        issuer = issuers.get(claims["iss"]) if isinstance(claims.get("iss"), str) else None
        if issuer is None:
            raise InvalidToken("its issuer is not known here")
        if not jws.validate_compact(signed, _key(signed.headers(), issuer), registry=_REGISTRY):
            raise InvalidToken("its signature is wrong")
        _check(claims, issuer, at)
    except ExpiredTokenError as error:
        raise InvalidToken("it has expired") from error
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise InvalidToken("it is no JWT that is accepted here") from error
    good_until = datetime.fromtimestamp(claims["exp"], UTC) + LEEWAY
    return Claims(issuer.name, claims["sub"], token_id(issuer.name, claims["jti"]), good_until)


def token_id(issuer: str, jti: str) -> str:
    """The name of a token in the database and the audit log: 32 characters, whatever the issuer calls it."""
    return sha256(f"{issuer}\0{jti}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _claims(payload: bytes | None) -> dict[str, Any]:
    claims = json.loads(payload or b"")
    if not isinstance(claims, dict):
        raise InvalidToken("its claims are no object")
    return claims


def _key(header: Mapping[str, Any], issuer: Issuer) -> Key:
    """The issuer's key that the header names; keys and addresses inside a token are never looked at."""
    if "crit" in header or "b64" in header:
        raise InvalidToken("its header asks for extensions")
    kind, kid, algorithm = header.get("typ"), header.get("kid"), header.get("alg")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in issuer.types:
        raise InvalidToken("its typ is not accepted")
    key = issuer.keys.key(kid) if isinstance(kid, str) else None
    if key is None:
        raise InvalidToken("its key is not one of the issuer's")
    if algorithm not in ALGORITHMS or key.get("alg", algorithm) != algorithm:
        raise InvalidToken("its algorithm is not accepted")
    return key


def _check(claims: dict[str, Any], issuer: Issuer, at: datetime) -> None:
    expected: dict[str, jwt.ClaimsOption] = {name: {"essential": True} for name in _ESSENTIAL}
    expected["iss"] = {"essential": True, "value": issuer.name}
    expected["aud"] = {"essential": True, "value": issuer.audience}
    registry = jwt.JWTClaimsRegistry(now=int(at.timestamp()), leeway=int(LEEWAY.total_seconds()), **expected)
    registry.validate(claims)
    if not 0 < claims["exp"] - claims["iat"] <= issuer.lifetime.total_seconds():
        raise InvalidToken("it lives too long")
    if not _TOKEN_NAME.fullmatch(claims["jti"]):
        raise InvalidToken("its jti is no name")
