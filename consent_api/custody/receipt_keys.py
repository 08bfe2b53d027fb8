"""The Ed25519 keys that sign receipts: one signs, and the public halves of all before it stay published."""

from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from edge.secret_files import made_once, replaced
from settings import Settings

ALGORITHM = "Ed25519"  # RFC 9864; "EdDSA" of RFC 8037 would leave the curve open
TYPE = "consent-receipt+jws"


class BrokenReceiptKeys(Exception):
    """The file of receipt keys cannot be used: put it back from its backup."""


class ForgedReceipt(Exception):
    """This is no receipt of ours, or not as it was signed; the message says how one can tell."""


class ReceiptKeys:
    """The keys in the file at `path`, made when it is first needed; a rotation is seen with the next receipt."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: list[OKPKey] = []

    @classmethod
    def of(cls, config: Settings) -> "ReceiptKeys":
        """The configured ones."""
        return cls(config.receipt_keys or config.var / "secrets" / "receipt_keys")

    def sign(self, content: bytes) -> str:
        """A compact JWS over `content`.

        Raises:
            BrokenReceiptKeys: there is no usable key.
        """
        key = self._current()[0]
        return jws.serialize_compact({"alg": ALGORITHM, "typ": TYPE, "kid": key.kid}, content, key, algorithms=[ALGORITHM])

    def published(self) -> dict[str, list[dict[str, Any]]]:
        """The public keys as a JWK set (RFC 7517), the one that signs now first."""
        return {"keys": [_public(key) for key in self._current()]}

    def rotate(self) -> str:
        """Sign with a new key from now on, and forget how the old one signed; returns the new key's id."""
        self._current()
        with FileLock(self.path.with_name(f"{self.path.name}.lock"), mode=0o600):
            new = _made()
            replaced(self.path, orjson.dumps({"keys": [new.as_dict(private=True), *self.published()["keys"]]}))
        return str(new.kid)

    def _current(self) -> list[OKPKey]:
        seen = self._stamp()
        if seen is None and self._keys:  # away for a while: a new key would be hidden when the file is back
            return self._keys
        if seen is None or seen != self._seen:
            text = made_once(self.path, lambda: orjson.dumps({"keys": [_made().as_dict(private=True)]}))
            self._keys, self._seen = _parsed(text, self.path), seen
        return self._keys

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return (status.st_mtime_ns, status.st_size, status.st_ino)


def content_of(receipt: str, published: dict[str, Any]) -> bytes:
    """What a receipt says, once its signature is found to be by one of the published keys.

    Raises:
        ForgedReceipt: it is not.
    """
    try:
        keys = {key["kid"]: OKPKey.import_key(key) for key in published["keys"]}
        unverified = jws.extract_compact(receipt.encode()).headers()
        key = keys.get(unverified.get("kid", ""))
        if key is None or unverified.get("typ") != TYPE:
            raise ForgedReceipt("none of the published keys has signed this as a receipt")
        return jws.deserialize_compact(receipt, key, algorithms=[ALGORITHM]).payload
    except (JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ForgedReceipt(
            f"the signature does not fit ({type(error).__name__}): something was changed after signing"
        ) from error


def _made() -> OKPKey:
    key = OKPKey.generate_key("Ed25519")
    return OKPKey.import_key({**key.as_dict(private=True), "kid": key.thumbprint(), "use": "sig", "alg": ALGORITHM})


def _public(key: OKPKey) -> dict[str, Any]:
    return dict(key.as_dict(private=False))


def _parsed(text: bytes, path: Path) -> list[OKPKey]:
    try:
        keys = [OKPKey.import_key(key) for key in orjson.loads(text)["keys"]]
    except (ValueError, KeyError, TypeError, JoseError) as error:
        raise BrokenReceiptKeys(f"{path} is no set of Ed25519 keys: put it back from its backup") from error
    if not keys or not keys[0].is_private:
        raise BrokenReceiptKeys(f"{path} has no key to sign with: put it back from its backup")
    return keys
