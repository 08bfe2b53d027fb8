"""Whose tokens are accepted: the bank's issuer for clients, and this service itself for whoever has a key."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import orjson
from joserfc.jwk import OKPKey

from consent_api.callers.key_sets import FixedKeys, key_source
from consent_api.callers.tokens import ACCESS_TOKEN, Issuer, Signer
from edge.keys import is_loopback
from edge.pepper import ConfigurationError
from edge.secret_files import made_once
from settings import Settings

OWN = "urn:opora:consent"
DEVELOPMENT = "urn:opora:consent:development"


@dataclass(frozen=True)
class Issuers:
    """The issuers whose tokens are accepted, by name, and the signer of the service's own."""

    accepted: Mapping[str, Issuer]
    own: Signer

    @classmethod
    def of(cls, config: Settings) -> "Issuers":
        """The configured ones; the development issuer where none is configured and only this machine can call.

        Raises:
            ConfigurationError: the service can be called from elsewhere and no issuer is configured, or only half of one.
            OSError: a key in `var/secrets` can be neither read nor made.
        """
        own = _signer(OWN, config.var / "secrets" / "token_key")
        accepted = (
            _itself(own, OWN, config),
            _configured(config) if config.token_issuer else _itself(development(config), OWN, config),
        )
        return cls({issuer.name: issuer for issuer in accepted}, own)


def development(config: Settings) -> Signer:
    """The issuer of clients' tokens on one machine: whoever can read `var/secrets` may be any client.

    Raises:
        ConfigurationError: others could call the service, or the bank's issuer is configured.
    """
    if config.token_issuer or not is_loopback(config.host):
        raise ConfigurationError(
            f"the development issuer is for loopback only, and this service is set to {config.host}: set OPORA_TOKEN_ISSUER, "
            "OPORA_TOKEN_AUDIENCE and OPORA_TOKEN_JWKS to those of the bank's, or OPORA_HOST=127.0.0.1 and no OPORA_TOKEN_ISSUER"
        )
    return _signer(DEVELOPMENT, config.var / "secrets" / "development_token_key")


def _configured(config: Settings) -> Issuer:
    if not config.token_audience or not config.token_jwks:
        raise ConfigurationError("OPORA_TOKEN_ISSUER needs OPORA_TOKEN_AUDIENCE and OPORA_TOKEN_JWKS beside it")
    if config.token_issuer in (OWN, DEVELOPMENT):
        raise ConfigurationError(f"OPORA_TOKEN_ISSUER: {config.token_issuer} is a name that the service uses itself")
    types = frozenset(kind.lower() for kind in config.token_types)
    lifetime = timedelta(seconds=config.token_lifetime_seconds)
    return Issuer(config.token_issuer, config.token_audience, key_source(config.token_jwks), types, lifetime)


def _itself(signer: Signer, audience: str, config: Settings) -> Issuer:
    keys = FixedKeys({str(signer.key.kid): signer.key})
    lifetime = timedelta(seconds=config.token_lifetime_seconds)
    return Issuer(signer.issuer, audience, keys, frozenset({ACCESS_TOKEN}), lifetime)


def _signer(name: str, path: Path) -> Signer:
    key = OKPKey.import_key(orjson.loads(made_once(path, _new_key)))
    key.ensure_kid()
    return Signer(name, key)


def _new_key() -> bytes:
    return orjson.dumps(OKPKey.generate_key("Ed25519").as_dict(private=True))
