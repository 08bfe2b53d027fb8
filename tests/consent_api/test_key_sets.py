"""P30: where an issuer's keys come from, how they change, and which are never taken."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from consent_api.callers import key_sets
from consent_api.callers.issuers import DEVELOPMENT, OWN, Issuers
from consent_api.callers.key_sets import BrokenKeySet, FileKeys, WebKeys, key_source, parsed
from edge.errors import RequestRefused
from edge.pepper import ConfigurationError
from settings import Settings

FIRST, SECOND = (OKPKey.generate_key("Ed25519", {"kid": kid}) for kid in ("first", "second"))


def written(*keys: OKPKey, private: bool = False) -> bytes:
    return json.dumps({"keys": [key.as_dict(private=private) for key in keys]}).encode()


class Site:
    """A web server with one page, which may change and may break."""

    def __init__(self) -> None:
        self.page, self.status, self.asked = written(FIRST), 200, 0
        site = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked += 1
                self.send_response(site.status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(site.page)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"


@pytest.fixture
def site() -> Iterator[Site]:
    served = Site()
    thread = threading.Thread(target=served.server.serve_forever)
    thread.start()
    yield served
    served.server.shutdown()
    thread.join()
    served.server.server_close()


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets seconds pass for the module, without waiting."""
    passed = 0.0
    real = time.monotonic

    def advance(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    monkeypatch.setattr(key_sets.time, "monotonic", lambda: real() + passed)
    return advance


def test_p30_keys_of_an_address_follow_a_rotation_and_are_asked_for_sparingly(site: Site, after: Callable[[float], None]) -> None:
    keys = WebKeys(site.url)
    assert keys.key("first").thumbprint() == FIRST.thumbprint()
    assert [keys.key(f"unknown {number}") for number in range(50)] == [None] * 50
    assert site.asked == 1
    site.page = written(SECOND)
    after(11)
    assert keys.key("second") is not None
    assert keys.key("first") is None
    assert site.asked == 2


def test_p30_an_address_that_is_away_is_survived_for_an_hour_and_no_longer(site: Site, after: Callable[[float], None]) -> None:
    keys = WebKeys(site.url)
    assert keys.key("first") is not None
    for status, page in ((500, written(FIRST)), (200, b"{"), (302, b""), (200, b" " * (300 << 10))):
        site.status, site.page = status, page
        after(301)
        assert keys.key("first") is not None
    assert site.asked == 5
    after(3600)
    with pytest.raises(RequestRefused) as refused:
        keys.key("first")
    assert (refused.value.status, refused.value.code) == (503, "issuer_unavailable")
    site.status, site.page = 200, written(FIRST)
    after(11)
    assert keys.key("first") is not None


def test_p30_a_first_fetch_that_fails_is_503_and_not_401(site: Site) -> None:
    site.status = 503
    with pytest.raises(RequestRefused, match="try again"):
        WebKeys(site.url).key("first")


def test_p30_a_key_file_is_followed_and_a_broken_one_opens_to_nobody(tmp_path: Path, after: Callable[[float], None]) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(written(FIRST))
    keys = key_source(str(path))
    assert isinstance(keys, FileKeys)
    assert keys.key("first") is not None
    for content, known in ((written(SECOND), [None, "second"]), (b"{", [None, None]), (written(FIRST), ["first", None])):
        path.write_bytes(content)
        after(1)
        assert [key and key.kid for key in (keys.key("first"), keys.key("second"))] == known
    path.unlink()
    after(1)
    assert keys.key("first") is None


def test_p30_what_others_could_sign_with_is_no_key_set() -> None:
    secret, short = OctKey.generate_key(256, {"kid": "s"}), RSAKey.generate_key(1024, {"kid": "r"})
    for text in (
        written(FIRST, private=True),
        json.dumps({"keys": [secret.as_dict(private=True)]}).encode(),
        json.dumps({"keys": [short.as_dict(private=False)]}).encode(),
        written(FIRST, FIRST),
        json.dumps({"keys": [{name: value for name, value in FIRST.as_dict(private=False).items() if name != "kid"}]}).encode(),
        json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "x"}]}).encode(),
        b'{"keys": []}',
        b'{"keys": 1}',
        b"[]",
        b"",
    ):
        with pytest.raises(BrokenKeySet):
            parsed(text)


def test_p30_keys_for_encryption_and_of_unknown_kinds_are_left_out() -> None:
    other = {"kty": "AKP", "alg": "ML-DSA-65", "kid": "later", "pub": "AAAA"}
    encryption = {**ECKey.generate_key("P-256").as_dict(private=False), "use": "enc", "kid": "e"}
    assert set(parsed(json.dumps({"keys": [other, encryption, FIRST.as_dict(private=False)]}).encode())) == {"first"}


BANK = {"token_issuer": "https://id.bank.example", "token_audience": "consent"}


@pytest.mark.parametrize(
    "settings",
    [
        {"host": "0.0.0.0"},
        {"token_issuer": "https://id.bank.example"},
        {**BANK, "token_audience": "", "token_jwks": "keys.json"},
        {**BANK, "token_jwks": "http://id.bank.example/keys"},
        {**BANK, "token_jwks": "ftp://id.bank.example/keys"},
        {**BANK, "token_jwks": "/no/such/file"},
        {**BANK, "token_issuer": OWN, "token_jwks": "https://id.bank.example/keys"},
        {**BANK, "token_issuer": DEVELOPMENT, "token_jwks": "https://id.bank.example/keys"},
    ],
)
def test_p30_what_would_let_strangers_in_is_no_configuration(tmp_path: Path, settings: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        Issuers.of(Settings(var=tmp_path, **settings))


def test_p30_with_the_banks_issuer_the_development_issuer_is_off(tmp_path: Path) -> None:
    config = Settings(var=tmp_path, host="0.0.0.0", **BANK, token_jwks="https://id.bank.example/keys")
    assert set(Issuers.of(config).accepted) == {OWN, "https://id.bank.example"}
    assert not (tmp_path / "secrets" / "development_token_key").exists()


def test_the_keys_of_tokens_are_made_once_and_only_their_owner_can_read_them(tmp_path: Path) -> None:
    first, second = (Issuers.of(Settings(var=tmp_path)) for _ in range(2))
    assert first.own.key.thumbprint() == second.own.key.thumbprint()
    made = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "secrets").iterdir()}
    assert made == {"token_key": 0o600, "development_token_key": 0o600}
