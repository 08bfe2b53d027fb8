"""X-API-Key: who may call a service, and where a service without keys may listen.

`python -m edge.keys new --name crm --scopes score,clients` prints a key once and puts its hash into force; `list` and
`revoke KEY_ID` do what they say.
"""

import argparse
import hmac
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from clock import CLOCK_FILE, now, simulated
from edge.errors import RequestRefused
from edge.key_file import BrokenEntry, KeyFile, KeyHash, WatchedKeys, digest, is_hash, key_id_of, new_key, parse
from edge.pepper import ConfigurationError, pepper
from edge.scopes import OPEN_PATHS, SCOPES, SCORE
from settings import Settings, settings

__all__ = [
    "OPEN_PATHS",
    "Caller",
    "ConfigurationError",
    "KeyGuard",
    "Keyring",
    "check_binding",
    "check_clock",
    "is_local",
    "is_loopback",
    "keys_path",
]

HEADER = b"x-api-key"


def keys_path(config: Settings) -> Path:
    """Where the hashes of the scoring services' keys lie."""
    return config.api_keys_file or config.var / "secrets" / "api_keys"


def check_binding(host: str, keys: Iterable[SecretStr], file: Path | None = None) -> None:
    """Refuse to start in a way that strangers could call.

    Raises:
        ConfigurationError: there are neither keys nor a key file and `host` is beyond loopback, or a key is empty.
    """
    configured = [key.get_secret_value() for key in keys]
    if any(not key.strip() for key in configured):
        raise ConfigurationError("OPORA_API_KEYS holds an empty key, which anybody could send: remove or replace it")
    if not configured and not (file and file.exists()) and not is_loopback(host):
        raise ConfigurationError(
            f"the service would listen on {host} without asking for keys: make one (python -m edge.keys new --name <caller>), "
            "set OPORA_API_KEYS='[\"<random key>\"]' (openssl rand -hex 32), or OPORA_HOST=127.0.0.1"
        )


def check_clock(host: str) -> None:
    """Refuse to serve others by a simulated bank's time: keys would not end, and the journal would lie.

    Raises:
        ConfigurationError: a file tells the time and `host` is beyond loopback.
    """
    if simulated() and not is_loopback(host):
        raise ConfigurationError(
            f"{CLOCK_FILE} tells the time of a scenario, which is for this machine alone: unset it to listen on {host}"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host` (an address, or `localhost`)."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_local(scope: Scope) -> bool:
    """Whether a request comes from a program on this machine, and not through a proxy that says whom it speaks for."""
    proxied = any(name in (b"forwarded", b"x-forwarded-for") for name, _ in scope["headers"])
    client = scope.get("client")
    try:
        return not proxied and (client is None or ip_address(client[0]).is_loopback)
    except ValueError:  # a Unix socket
        return True


class Caller(NamedTuple):
    """Whose key it is, by a name that is no secret, and what the key is good for."""

    name: str
    scopes: frozenset[str]


class Keyring:
    """The keys in force: plain ones and hashes from the settings, hashes from the key file; several are valid at once.

    A hash says what its key is good for; a plain key has no place to say so, and is good for everything. A key is compared in
    constant time with the one hash that its public id names, or with every plain key.
    """

    def __init__(self, config: Settings) -> None:
        texts = [key.get_secret_value() for key in config.api_keys]
        everything = frozenset(SCOPES)
        self._plain = {sha256(text.encode()).digest(): Caller(f"setting-{place}", everything) for place, text in _plain(texts)}
        try:
            hashes = [parse(text) for text in texts if is_hash(text)]
        except BrokenEntry as error:
            raise ConfigurationError(f"OPORA_API_KEYS: {error}") from error
        self._configured = {entry.key_id: entry for entry in hashes}
        self._file = WatchedKeys(keys_path(config))
        self._config = config
        self._pepper: bytes | None = None

    @property
    def in_use(self) -> bool:
        """Whether callers are asked for a key."""
        return bool(self._plain or self._configured) or self._file.exists

    def recognise(self, key: bytes) -> Caller | None:
        """Who has a key in force; None for any other text. A wrong secret takes as long as a right one."""
        stored = self._hash(key_id_of(key))
        if stored is not None:
            right = hmac.compare_digest(digest(self._secret(), key), stored.digest)
            return Caller(stored.key_id, stored.scopes) if right else None
        given = sha256(key).digest()
        found = [caller for known, caller in self._plain.items() if hmac.compare_digest(given, known)]
        return found[0] if found else None

    def _hash(self, key_id: str | None) -> KeyHash | None:
        if key_id is None:
            return None
        return self._configured.get(key_id) or self._file.known().get(key_id)

    def _secret(self) -> bytes:
        if self._pepper is None:
            self._pepper = pepper(self._config)
        return self._pepper


def _plain(texts: list[str]) -> Iterable[tuple[int, str]]:
    return ((place, text) for place, text in enumerate(texts) if not is_hash(text))


class KeyGuard:
    """ASGI middleware: 401 without a key of `keyring`, 403 with one that is not good for the address; `OPEN_PATHS` need none.

    Without keys in use only connections that arrived at a loopback address are served, whatever the process was told to bind to.
    Whose key it was stands in `scope["state"]["caller"]`.

    Args:
        app: what callers with a key reach.
        keyring: the keys in force.
        needed: the scope that a request asks for; None = any key.
    """

    def __init__(self, app: ASGIApp, keyring: Keyring, needed: Callable[[Scope], str | None]) -> None:
        self._app = app
        self._keyring = keyring
        self._needed = needed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" and scope["path"] not in OPEN_PATHS else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await refusal.response()(scope, receive, send)

    def admits(self, scope: Scope) -> bool:
        """Whether the request has a key, or needs none."""
        return self._refusal(scope) is None

    def _refusal(self, scope: Scope) -> RequestRefused | None:
        if not self._keyring.in_use:
            return None if _arrived_locally(scope) else _NO_KEYS
        given = next((value for name, value in scope["headers"] if name == HEADER), b"")
        caller = self._keyring.recognise(given)
        if caller is None:
            return _WRONG_KEY
        needed = self._needed(scope)
        if needed is not None and needed not in caller.scopes:
            return _missing(needed)
        scope.setdefault("state", {})["caller"] = caller.name
        return None


def _arrived_locally(scope: Scope) -> bool:
    server = scope.get("server")
    return server is None or _is_loopback_or_name(server[0])


@lru_cache(maxsize=64)
def _is_loopback_or_name(server: str) -> bool:
    try:
        return ip_address(server).is_loopback
    except ValueError:  # a Unix socket, or a server that gives names
        return True


_WRONG_KEY = RequestRefused(
    401, "unauthorized", "send a valid key in the header X-API-Key", headers={"WWW-Authenticate": "X-API-Key"}
)


def _missing(scope: str) -> RequestRefused:
    message = (
        f"this key lacks the scope {scope}, which is for {SCOPES[scope]}: ask for a key that has it (edge.keys new --scopes)"
    )
    return RequestRefused(403, "missing_scope", message)


_NO_KEYS = RequestRefused(
    403, "no_keys_configured", "this service has no API keys and answers on loopback only: python -m edge.keys new makes one"
)


def main(arguments: list[str] | None = None) -> int:
    """Make, list or revoke keys of the scoring services; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m edge.keys", description="API keys of the scoring services.")
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("new", help="print a new key, once, and put its hash into force")
    new.add_argument("--name", required=True, type=_name, help="who will use it: letters, digits, dots, dashes")
    said = "; ".join(f"{scope}: {meaning}" for scope, meaning in SCOPES.items())
    new.add_argument(
        "--scopes", type=_scopes, default=SCORE, help=f"what it is good for, by commas; {SCORE} if not given. {said}"
    )
    new.add_argument("--only-print", action="store_true", help="print the hash for OPORA_API_KEYS instead of storing it")
    commands.add_parser("list", help="ids, scopes, names and dates of the keys in the file")
    commands.add_parser("revoke", help="end a key at once, everywhere").add_argument(
        "key_id", help="the 16 characters after opora-"
    )
    chosen = parser.parse_args(arguments)
    file = KeyFile(keys_path(settings()))
    if chosen.command == "new":
        return _new(file, chosen.name, chosen.scopes, chosen.only_print)
    if chosen.command == "revoke":
        return _revoke(file, chosen.key_id)
    for key_id, said in file.listed():
        print(key_id, said)
    return 0


def _new(file: KeyFile, name: str, scopes: Iterable[str], only_print: bool) -> int:
    key, entry = new_key(pepper(settings()), scopes)
    if only_print:
        print(f"for OPORA_API_KEYS: {entry}", file=sys.stderr)
    else:
        file.add(entry, name, now())
        print(f"in force within a second ({file.path}); this is the only time the key is shown:", file=sys.stderr)
    print(key)
    return 0


def _revoke(file: KeyFile, key_id: str) -> int:
    if file.remove(key_id):
        print(f"{key_id} is revoked")
        return 0
    print(f"no key {key_id} in {file.path}", file=sys.stderr)
    return 1


def _name(text: str) -> str:
    if not text or not all(character.isalnum() or character in ".-_" for character in text):
        raise argparse.ArgumentTypeError("letters, digits, dots and dashes only")
    return text


def _scopes(text: str) -> list[str]:
    scopes = text.split(",")
    if not SCOPES.keys() >= set(scopes):
        raise argparse.ArgumentTypeError(f"some of {','.join(SCOPES)}, by commas")
    return scopes


if __name__ == "__main__":
    sys.exit(main())
