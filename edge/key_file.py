"""The file of API key hashes: `python -m edge.keys new` adds a line, `revoke` takes one out, services see it within a second."""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from filelock import FileLock

from edge.scopes import SCOPES, SCORE
from edge.secret_files import replaced

_PREFIX = "hmac-sha256"
_SHAPE = re.compile(rb"opora-([0-9a-f]{16})-[A-Za-z0-9_-]{43}")
_ENTRY = re.compile(rf"{_PREFIX}:([0-9a-f]{{16}}):([0-9a-f]{{64}})(?::([a-z+]+))?", re.ASCII)
_LOOK_SECONDS = 0.5
_SECRET_BYTES = 32


class BrokenEntry(ValueError):
    """A line or setting that should hold a key's hash and does not; the message never repeats it."""


@dataclass(frozen=True)
class KeyHash:
    """A key as services know it: its public id, HMAC-SHA-256 of the whole key under the pepper, and what it is good for."""

    key_id: str
    digest: bytes
    scopes: frozenset[str]

    def __str__(self) -> str:
        return f"{_PREFIX}:{self.key_id}:{self.digest.hex()}:{'+'.join(sorted(self.scopes))}"


def new_key(pepper: bytes, scopes: Iterable[str]) -> tuple[str, KeyHash]:
    """A key with 256 random bits for some of `edge.scopes.SCOPES`, and its hash; the key cannot be shown again."""
    key_id = secrets.token_hex(8)
    key = f"opora-{key_id}-{secrets.token_urlsafe(_SECRET_BYTES)}"
    return key, KeyHash(key_id, digest(pepper, key.encode()), frozenset(scopes))


def digest(pepper: bytes, key: bytes) -> bytes:
    """HMAC-SHA-256 of a key: without the pepper nobody can try keys against a stolen hash."""
    return hmac.digest(pepper, key, sha256)


def key_id_of(key: bytes) -> str | None:
    """The public id inside a key of our shape; None for any other text."""
    parts = _SHAPE.fullmatch(key)
    return parts[1].decode() if parts else None


def is_hash(text: str) -> bool:
    """Whether `text` is meant as a hash rather than as a plain key."""
    return text.startswith(f"{_PREFIX}:")


def parse(text: str) -> KeyHash:
    """`hmac-sha256:<key id>:<hash>:<scope>+<scope>…` as a `KeyHash`; one without scopes, as there were once, may score.

    Raises:
        BrokenEntry: it has another shape, or a scope that does not exist.
    """
    parts = _ENTRY.fullmatch(text)
    scopes = frozenset((parts[3] or SCORE).split("+")) if parts else frozenset()
    if parts is None or not scopes <= SCOPES.keys():
        raise BrokenEntry(
            f"a key hash has to look like {_PREFIX}:<16 hex digits>:<64 hex digits>:<scopes>: make one with edge.keys new"
        )
    return KeyHash(parts[1], bytes.fromhex(parts[2]), scopes)


class KeyFile:
    """Key hashes in a text file, one a line with a name and when it was issued; changed under a lock, whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, entry: KeyHash, name: str, at: datetime) -> None:
        """Put one more key in force."""
        with self._lock():
            self._replace([*self._lines(), f"{entry} {name} {at.isoformat()}"])

    def remove(self, key_id: str) -> bool:
        """Take a key out; False when there is none with this id."""
        with self._lock():
            lines = self._lines()
            kept = [line for line in lines if not line.startswith(f"{_PREFIX}:{key_id}:")]
            if len(kept) < len(lines):
                self._replace(kept)
            return len(kept) < len(lines)

    def listed(self) -> Iterator[tuple[str, str]]:
        """Every key's id with its scopes, its name and when it was issued."""
        for line in self._lines():
            text, _, said = line.partition(" ")
            entry = parse(text)
            yield entry.key_id, f"{','.join(sorted(entry.scopes))} {said}"

    def _lines(self) -> list[str]:
        text = self.path.read_text() if self.path.exists() else ""
        return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]

    def _lock(self) -> FileLock:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return FileLock(self.path.with_name(f"{self.path.name}.lock"), mode=0o600)

    def _replace(self, lines: list[str]) -> None:
        replaced(self.path, "".join(f"{line}\n" for line in lines).encode())


class WatchedKeys:
    """The keys of a `KeyFile` as a running process sees them: looked at every half second, read again when it has changed.

    A file that cannot be read, or a line that is broken, opens to nobody.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._known: dict[str, KeyHash] = {}
        self._look_at = 0.0

    @property
    def exists(self) -> bool:
        """Whether there is a file: then keys are asked for, even when it holds none any more."""
        self._look()
        return self._seen is not None

    def known(self) -> Mapping[str, KeyHash]:
        """The hashes in force, by key id."""
        self._look()
        return self._known

    def _look(self) -> None:
        at = time.monotonic()
        if at < self._look_at:
            return
        self._look_at = at + _LOOK_SECONDS
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen != self._seen:
                self._known = _entries(self._path.read_text())
                self._seen = seen
        except FileNotFoundError:
            self._seen, self._known = (None if self._seen is None else (0, 0, 0)), {}
        except (OSError, ValueError):
            self._seen, self._known = (0, 0, 0), {}


def _entries(text: str) -> dict[str, KeyHash]:
    known = {}
    for line in text.splitlines():
        with suppress(BrokenEntry):
            entry = parse(line.split(" ", 1)[0])
            known[entry.key_id] = entry
    return known
