"""The public keys of an issuer of tokens (RFC 7517): given, in a file, or at a web address; read again as they change."""

import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import httpx
import orjson
from joserfc.errors import JoseError
from joserfc.jwk import Key, OctKey, RSAKey, import_key

from edge.errors import RequestRefused
from edge.keys import is_loopback
from edge.pepper import ConfigurationError

logger = logging.getLogger("opora.consent")
_LOOK_SECONDS = 0.5
_REFRESH_SECONDS = 300.0
_RETRY_SECONDS = 10.0
_STALE_SECONDS = 3600.0
_FETCH_SECONDS = 5.0
_LARGEST = 256 << 10
_SHORTEST_RSA = 2048
_AWAY = RequestRefused(
    503, "issuer_unavailable", "the keys of the token issuer cannot be read: try again", headers={"Retry-After": "10"}
)


class BrokenKeySet(ValueError):
    """This is no set of public keys that tokens may be checked with; the message quotes none of it."""


class KeySource(Protocol):
    """Where an issuer's keys come from."""

    def key(self, kid: str) -> Key | None:
        """The public key with this id; None when the issuer has none such.

        Raises:
            RequestRefused: 503, the keys cannot be read now.
        """


class FixedKeys:
    """Keys that stay as they are while the process runs."""

    def __init__(self, keys: Mapping[str, Key]) -> None:
        self._keys = keys

    def key(self, kid: str) -> Key | None:
        return self._keys.get(kid)


class FileKeys:
    """The keys in a file, looked at every half second; a file that is broken or gone opens to nobody."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: Mapping[str, Key] = {}
        self._look_at = 0.0

    def key(self, kid: str) -> Key | None:
        at = time.monotonic()
        if at >= self._look_at:
            self._look_at = at + _LOOK_SECONDS
            self._look()
        return self._keys.get(kid)

    def _look(self) -> None:
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen != self._seen:
                self._keys, self._seen = parsed(self._path.read_bytes()), seen
        except (OSError, BrokenKeySet) as error:
            logger.error("the token issuer's keys cannot be read: %s", type(error).__name__)
            self._keys, self._seen = {}, None


class WebKeys:
    """The keys at an address: fetched every five minutes and, at most every ten seconds, for a key that is not known yet.

    While the address does not answer the keys of before are used, for an hour.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: Mapping[str, Key] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._lock = threading.Lock()

    def key(self, kid: str) -> Key | None:
        if self._is_due(kid) and self._lock.acquire(blocking=not self._keys):
            try:
                if self._is_due(kid):
                    self._fetch()
            finally:
                self._lock.release()
        if time.monotonic() - self._fetched_at > _STALE_SECONDS:
            raise _AWAY
        return self._keys.get(kid)

    def _is_due(self, kid: str) -> bool:
        at = time.monotonic()
        old = at - self._fetched_at > _REFRESH_SECONDS
        return (old or kid not in self._keys) and at - self._tried_at > _RETRY_SECONDS

    def _fetch(self) -> None:
        self._tried_at = time.monotonic()
        try:
            self._keys = parsed(_body(self._url))
            self._fetched_at = time.monotonic()
        except (httpx.HTTPError, BrokenKeySet) as error:
            logger.error("the token issuer's keys cannot be fetched: %s", type(error).__name__)


def key_source(where: str) -> KeySource:
    """The keys in the file or at the address `where`.

    Raises:
        ConfigurationError: it is neither a file with keys nor an address whose answer nobody can change on the way.
    """
    if where.startswith("https://") or (where.startswith("http://") and is_loopback(httpx.URL(where).host)):
        return WebKeys(where)
    if "://" in where:
        raise ConfigurationError("OPORA_TOKEN_JWKS: keys are fetched over https only")
    path = Path(where)
    try:
        parsed(path.read_bytes())
    except (OSError, BrokenKeySet) as error:
        raise ConfigurationError(f"OPORA_TOKEN_JWKS: {where}: {error}") from error
    return FileKeys(path)


def parsed(text: bytes) -> dict[str, Key]:
    """The keys of a JWK set by their ids; those for encryption, and of kinds that are not known here, are left out.

    Raises:
        BrokenKeySet: it is no JWK set, or one that would let others than the issuer sign.
    """
    try:
        listed = orjson.loads(text)["keys"]
        wanted = [each for each in listed if each.get("use", "sig") == "sig" and each.get("kty") in ("OKP", "EC", "RSA", "oct")]
        keys = [import_key(each) for each in wanted]
    except (ValueError, KeyError, TypeError, AttributeError, JoseError) as error:
        raise BrokenKeySet("this is no JWK set") from error
    for key in keys:
        _require_public(key)
    found = {key.kid: key for key in keys if key.kid}
    if not found or len(found) < len(keys):
        raise BrokenKeySet("every key of the set needs a kid of its own, and there has to be one")
    return found


def _require_public(key: Key) -> None:
    if isinstance(key, OctKey) or key.is_private:
        raise BrokenKeySet("the set holds a secret key: whoever can read it could sign; give the public keys only")
    if isinstance(key, RSAKey) and key.raw_value.key_size < _SHORTEST_RSA:
        raise BrokenKeySet(f"an RSA key of the set is shorter than {_SHORTEST_RSA} bits")


def _body(url: str) -> bytes:
    with httpx.stream("GET", url, timeout=_FETCH_SECONDS, follow_redirects=False) as answer:
        if answer.status_code != httpx.codes.OK:
            raise BrokenKeySet(f"the address answers {answer.status_code}")
        body = b""
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > _LARGEST:
                raise BrokenKeySet("the answer is too long for a JWK set")
    return body
