"""P30: tokens are strict. What is forged, stale, meant for others or sent again is refused, and the rest works."""

import base64
import hmac
import json
import threading
from datetime import timedelta
from hashlib import sha256

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey
from sqlalchemy import func, select

from consent_api.callers.issuers import DEVELOPMENT, OWN, Issuers, development
from consent_api.callers.roles import Principal
from consent_api.callers.tokens import InvalidToken, verified
from consent_api.tables import RECORDS, TOKENS

BODY = {"client_id": "17", "company": "dala-market", "data_types": ["category_spending"], "is_active": True}
OWN_PAGE = "/client/17/consents"
ELSEWHERE = OKPKey.generate_key("Ed25519")


@pytest.fixture
def key(bank) -> OKPKey:
    return development(bank.config).key


def encoded(part: bytes | dict) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(bank, key: OKPKey, header: dict | None = None, signer: OKPKey | None = None, **changes) -> str:
    """A token that would be good but for what is changed; a claim that is None is left out."""
    start = int(bank.clock().timestamp())
    good = {"iss": DEVELOPMENT, "aud": OWN, "sub": "17", "jti": "token-0001", "iat": start, "nbf": start, "exp": start + 300}
    claims = {name: value for name, value in {**good, **changes}.items() if value is not None}
    head = {"alg": "Ed25519", "typ": "at+jwt", "kid": key.kid, **(header or {})}
    head = {name: value for name, value in head.items() if value is not None}
    signing_input = f"{encoded(head)}.{encoded(claims)}"
    raw = (signer or key).get_op_key("sign").sign(signing_input.encode())
    return f"{signing_input}.{encoded(raw)}"


def status(bank, token: str, path: str = OWN_PAGE) -> int:
    return bank.http.get(path, headers={"Authorization": f"Bearer {token}"}).status_code


def test_p30_a_good_token_is_its_client_and_nobody_else(bank, key) -> None:
    token = signed(bank, key)
    assert status(bank, token) == status(bank, token) == 200
    assert status(bank, token, "/client/18/consents") == 403
    assert status(bank, token, "/aggregated-data/dala-market") == 403
    assert status(bank, signed(bank, key, aud=["elsewhere", OWN])) == 200


NOW, YEAR = 1795262400, 365 * 86400  # what the clock of the tests says, in seconds
FAULTY_CLAIMS = {
    "expired": {"iat": NOW - 400, "nbf": NOW - 400, "exp": NOW - 100},
    "expired as long ago as clocks may differ": {"iat": NOW - 100, "exp": NOW - 10},
    "not yet valid": {"nbf": NOW + 100},
    "issued in the future": {"iat": NOW + 100, "exp": NOW + 200},
    "good for years": {"exp": NOW + YEAR},
    "ends before it began": {"iat": NOW, "exp": NOW - 5},
    "endless": {"exp": float("inf")},
    "without a real end": {"exp": float("nan")},
    "end in words": {"exp": "tomorrow"},
    "end as truth": {"exp": True},
    "huge end": {"exp": 10**400},
    "for others": {"aud": "somebody-else"},
    "for others, several": {"aud": ["a", "b"]},
    "for nobody": {"aud": []},
    "for an object": {"aud": {"a": OWN}},
    "of another tenant": {"iss": "https://id.other-bank.example"},
    "of many issuers": {"iss": [DEVELOPMENT]},
    "of us, who did not sign it": {"iss": OWN},
    "about nobody": {"sub": ""},
    "about a number": {"sub": 17},
    "about no client code": {"sub": "17\x00"},
    "about two lines": {"sub": "17\n"},
    "named by a number": {"jti": 12345678},
    "hardly named": {"jti": "x"},
    **{f"without {name}": {name: None} for name in ("iss", "aud", "sub", "exp", "iat", "nbf", "jti")},
}
FAULTY_HEADERS = {
    "an ID token": {"typ": "JWT"},
    "a logout token": {"typ": "logout+jwt"},
    "without a type": {"typ": None},
    "of a key nobody knows": {"kid": "x"},
    "without a key": {"kid": None},
    "key in a list": {"kid": ["x"]},
    "extensions": {"crit": ["exp"], "exp": 1},
    "extensions that everyone knows": {"crit": ["typ"]},
    "unencoded payload": {"crit": ["b64"], "b64": False},
    "another algorithm": {"alg": "ES256"},
    "its other name": {"alg": "Ed448"},
    "brings its own key": {"jwk": ELSEWHERE.as_dict(private=False), "kid": ELSEWHERE.thumbprint()},
}


def test_p30_the_constant_above_is_what_the_clock_says(bank) -> None:
    assert int(bank.clock().timestamp()) == NOW


def test_p30_a_token_with_one_fault_is_401(bank, key) -> None:
    for name, claims in FAULTY_CLAIMS.items():
        answer = bank.http.get(OWN_PAGE, headers={"Authorization": f"Bearer {signed(bank, key, **claims)}"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_token"), name
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    for name, header in FAULTY_HEADERS.items():
        assert status(bank, signed(bank, key, header)) == 401, name
    assert status(bank, signed(bank, key, signer=ELSEWHERE)) == 401
    assert status(bank, signed(bank, key)) == 200


def test_p30_no_signature_and_a_public_key_as_password_are_401(bank, key) -> None:
    head, claims, _ = signed(bank, key).split(".")
    for name in ("none", "None", "NONE", "nOnE", ""):
        unsigned = f"{encoded({'alg': name, 'typ': 'at+jwt', 'kid': key.kid})}.{claims}"
        assert status(bank, f"{unsigned}.") == 401
        assert status(bank, unsigned) == 401
    public = key.as_dict(private=False)
    for secret in (public["x"].encode(), json.dumps(public).encode(), key.as_pem(private=False)):
        forged = f"{encoded({'alg': 'HS256', 'typ': 'at+jwt', 'kid': key.kid})}.{claims}"
        digest = hmac.new(secret, forged.encode(), sha256).digest()
        assert status(bank, f"{forged}.{encoded(digest)}") == 401
    assert status(bank, f"{head}.{claims}.") == 401


def test_p30_a_changed_byte_anywhere_is_401(bank, key) -> None:
    parts = signed(bank, key).split(".")
    for place, part in enumerate(parts):
        for position in (0, len(part) // 2, len(part) - 2):
            flipped = part[:position] + ("A" if part[position] != "A" else "B") + part[position + 1 :]
            assert status(bank, ".".join([*parts[:place], flipped, *parts[place + 1 :]])) == 401, (place, position)


def test_p30_what_is_no_token_at_all_is_401_and_never_more(bank, key) -> None:
    good = signed(bank, key)
    deep = encoded(b"[" * 5000)
    head = encoded({"alg": "Ed25519"})
    texts = (
        "",
        ".",
        "..",
        "a.b",
        "a.b.c",
        "a.b.c.d.e",
        good + ".x",
        f"{deep}.e30.e30",
        f"{head}.{deep}.e30",
        f"{head}.{encoded(b'[1]')}.e30",
    )
    for text in (*texts, "x" * 9000, good + "A" * 9000):
        assert status(bank, text) == 401, text[:30]
    for header in ("Bearer", good, f"Basic {good}", f"bearer  {good} x", f"Token {good}", "Bearer \xff", b"Bearer \xff\xfe"):
        raw = header if isinstance(header, bytes) else header.encode("latin-1")
        assert bank.http.get(OWN_PAGE, headers={b"Authorization": raw}).status_code == 401, header


def test_p30_two_credentials_are_none(bank, key) -> None:
    token, keyed = {"Authorization": f"Bearer {signed(bank, key)}"}, bank.headers("client", "17")
    answer = bank.http.get(OWN_PAGE, headers={**token, **keyed})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "two_credentials")
    assert bank.http.get(OWN_PAGE, headers=[*token.items(), *bank.bearer("17").items()]).status_code == 400


def test_p30_a_token_changes_something_once_and_its_replay_is_401(bank) -> None:
    token = bank.bearer("17")
    assert bank.http.post("/consent", json=BODY, headers=token).status_code == 200
    for again in (BODY, {**BODY, "company": "jolda-travel"}, {**BODY, "is_active": False}):
        answer = bank.http.post("/consent", json=again, headers=token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token_used")
    assert bank.http.delete("/consent/17_dala-market", headers=token).status_code == 401
    assert bank.http.get(OWN_PAGE, headers=token).json()["consents"][0]["is_active"] is True
    assert bank.http.delete("/consent/17_dala-market", headers=bank.bearer("17")).status_code == 200


def test_p30_a_lost_answer_can_be_asked_for_again_with_the_same_token(bank) -> None:
    token = {**bank.bearer("17"), "Idempotency-Key": "k1"}
    first, again = (bank.http.post("/consent", json=BODY, headers=token) for _ in range(2))
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert first.status_code == 200
    other = bank.http.post("/consent", json={**BODY, "company": "jolda-travel"}, headers=token)
    assert other.status_code == 422
    fresh_key = bank.http.post("/consent", json=BODY, headers={**token, "Idempotency-Key": "k2"})
    assert fresh_key.status_code == 401
    with bank.store.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(RECORDS)) == 1


def test_p30_of_many_at_once_with_one_token_one_changes_something(bank) -> None:
    token, statuses = bank.bearer("17"), []

    def send(company: str) -> None:
        statuses.append(bank.http.post("/consent", json={**BODY, "company": company}, headers=token).status_code)

    threads = [threading.Thread(target=send, args=(company,)) for company in list(bank.service.catalogue.companies)[:3] * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [401] * 8


def test_p30_a_refused_change_does_not_use_the_token_up(bank) -> None:
    token = bank.bearer("17")
    assert bank.http.post("/consent", json={**BODY, "company": "nobody"}, headers=token).status_code == 400
    assert bank.http.post("/consent", json=BODY, headers=token).status_code == 200


def test_p30_used_tokens_are_kept_as_long_as_they_could_be_sent_again_and_no_longer(bank) -> None:
    assert bank.http.post("/consent", json=BODY, headers=bank.bearer("17")).status_code == 200
    for wait, kept in ((timedelta(minutes=20), 2), (timedelta(hours=3), 1)):
        bank.clock.moment += wait
        assert bank.http.post("/consent", json=BODY, headers=bank.bearer("17")).status_code == 200
        with bank.store.reading() as connection:
            assert connection.scalar(select(func.count()).select_from(TOKENS)) == kept


def traded(bank, api_key: str) -> dict[str, str]:
    _, key_id, secret = api_key.split("-", 2)
    answer = bank.http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=(key_id, secret))
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("Bearer", 300)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def test_p30_a_partner_trades_its_key_for_a_token_that_ends_and_sees_its_own_company(bank) -> None:
    token = traded(bank, bank.service.keyring.issue("partner", "dala-market", bank.clock()))
    assert bank.http.get("/aggregated-data/dala-market", headers=token).status_code == 200
    assert bank.http.get("/aggregated-data/jolda-travel", headers=token).status_code == 403
    assert bank.http.get(OWN_PAGE, headers=token).status_code == 403
    bank.clock.moment += timedelta(minutes=6)
    assert bank.http.get("/aggregated-data/dala-market", headers=token).status_code == 401


def test_p30_a_token_cannot_be_traded_for_another(bank) -> None:
    api_key = bank.service.keyring.issue("partner", "dala-market", bank.clock())
    form = {"grant_type": "client_credentials"}
    for headers in (traded(bank, api_key), {"X-API-Key": api_key}, {}):
        answer = bank.http.post("/oauth/token", data=form, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_client")
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
    for name, secret in (("", ""), ("a", "b"), (api_key.split("-")[1], "A" * 43), ("\x00", "\x00"), ("é", "é")):
        assert bank.http.post("/oauth/token", data=form, auth=(name, secret)).status_code == 401
    client = bank.service.keyring.issue("client", "17", bank.clock()).split("-", 2)
    assert bank.http.post("/oauth/token", data=form, auth=(client[1], client[2])).status_code == 403


def test_p30_our_own_token_never_makes_a_client(bank) -> None:
    """Its subject is a key, so that one whose subject is a client code is nobody's."""
    token = bank.service.issuers.own.token("17", OWN, bank.clock(), timedelta(minutes=5))
    assert status(bank, token) == 401


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [("ES256", ECKey.generate_key("P-256")), ("RS256", RSAKey.generate_key(2048)), ("PS256", RSAKey.generate_key(2048))],
)
def test_p30_the_banks_issuer_may_sign_with_other_kinds_of_keys(bank, tmp_path, algorithm, key) -> None:
    key.ensure_kid()
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    config = bank.config.model_copy(
        update={"token_issuer": "https://id.bank.example", "token_audience": "consent", "token_jwks": str(path)}
    )
    accepted = Issuers.of(config).accepted
    assert set(accepted) == {OWN, "https://id.bank.example"}
    claims = {
        "iss": "https://id.bank.example",
        "aud": "consent",
        "sub": "17",
        "jti": "abcdefgh",
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 60,
    }
    token = jws.serialize_compact({"alg": algorithm, "typ": "at+jwt", "kid": key.kid}, json.dumps(claims), key, [algorithm])
    assert verified(token, accepted, bank.clock()).subject == "17"
    confused = encoded({"alg": "HS256", "typ": "at+jwt", "kid": key.kid}) + "." + encoded(claims)
    digest = hmac.new(key.as_pem(private=False), confused.encode(), sha256).digest()
    with pytest.raises(InvalidToken):
        verified(f"{confused}.{encoded(digest)}", accepted, bank.clock())


def test_a_principal_counts_as_one_caller_whatever_credential_it_sends() -> None:
    assert Principal("k1", "partner", "dala-market").caller == Principal("k2", "partner", "dala-market").caller
    assert Principal("k1", "partner", "17").caller != Principal("k1", "client", "17").caller
