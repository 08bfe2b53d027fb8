"""P5 under attack: a partner who wants another's releases, and a client who wants another's data."""

import re

import pytest

from tests.privacy.crowds import COMPANY, bank_of, several

VICTIM, ATTACKER = COMPANY, "jolda-travel"
KIND = "spending_dynamics"
DISGUISES = (
    "dala-market",
    "DALA-MARKET",
    "dala%2Dmarket",
    "dala-market%00",
    "dala-market/",
    "jolda-travel/../dala-market",
    "jolda-travel%2F..%2Fdala-market",
    "./dala-market",
    "dala-market;jolda-travel",
    "dala-market,jolda-travel",
    "dаla-market",  # a Cyrillic letter
)


def reads(bank, parameter: str) -> list[str]:
    """The paths of every GET route that takes `parameter`."""
    paths = bank.http.get("/openapi.json").json()["paths"]
    return [path for path, methods in paths.items() if "get" in methods and f"{{{parameter}}}" in path]


def filled(path: str, **values: str) -> str:
    """`path` with these values, and the first thing that fits in the other places."""
    known = {"data_type": KIND, **values}
    return re.sub(r"{(\w+)}", lambda found: known.get(found[1], "1"), path)


@pytest.fixture
def released(bank, world) -> str:
    """A release of the victim that its own partner can read; gives its ETag."""
    crowd = several("c", 600)
    world.give([person.client_code for person in crowd])
    world.report(bank_of(crowd), 10, kinds=[KIND])
    answer = bank.caller("partner", VICTIM)("GET", f"/aggregated-data/{VICTIM}")
    assert answer.json()["total_datasets"] >= 1
    return answer.headers["ETag"]


def test_p05_a_partner_gets_nothing_of_another_whatever_it_writes_into_the_address(bank, released) -> None:
    call = bank.caller("partner", ATTACKER)
    paths = reads(bank, "company")
    assert len(paths) >= 2
    for path in paths:
        for disguise in DISGUISES:
            answer = call("GET", filled(path, company=disguise), params={"period": "2026-10"}, follow_redirects=True)
            assert answer.status_code >= 400, (path, disguise)
            assert b"by_month" not in answer.content


def test_p05_no_header_parameter_or_known_etag_turns_a_partner_into_another(bank, released) -> None:
    call = bank.caller("partner", ATTACKER)
    path = f"/aggregated-data/{VICTIM}"
    for header in (
        {"If-None-Match": released},
        {"X-Company": VICTIM},
        {"X-Original-URL": path},
        {"X-HTTP-Method-Override": "GET"},
    ):
        assert call("GET", path, headers=header).status_code == 403
    own = call("GET", f"/aggregated-data/{ATTACKER}", params={"company": VICTIM})
    assert own.status_code == 422 or own.json()["data"] == []


def test_p05_a_client_reads_and_changes_nothing_of_another(bank) -> None:
    body = {"company": VICTIM, "data_types": [KIND], "is_active": True}
    victim, attacker = bank.caller("client", "17"), bank.caller("client", "1")
    given = victim("POST", "/consent", json={**body, "client_id": "17"}, headers={"Idempotency-Key": "k1"})
    assert given.status_code == 200
    before = victim("GET", "/client/17/consents").json()
    paths = reads(bank, "client_id")
    assert paths
    for path in paths:
        for disguise in ("17", "017", "17%20", "1/../17", "1%2F..%2F17", "1%0017", "１７"):
            assert attacker("GET", filled(path, client_id=disguise)).status_code >= 400, (path, disguise)
    stolen = [
        attacker("POST", "/consent", json={**body, "client_id": "17", "is_active": False}),
        attacker("DELETE", f"/consent/17_{VICTIM}"),
        attacker("POST", "/consent", json={**body, "client_id": "17"}, headers={"Idempotency-Key": "k1"}),
    ]
    assert [answer.status_code for answer in stolen] == [403, 403, 403]
    assert not any(b"17_" in answer.content for answer in stolen)
    assert victim("GET", "/client/17/consents").json() == before


def test_p05_an_idempotency_key_of_another_client_opens_nothing(bank) -> None:
    body = {"company": VICTIM, "data_types": [KIND], "is_active": True}
    key = {"Idempotency-Key": "the-same"}
    theirs = bank.caller("client", "17")("POST", "/consent", json={**body, "client_id": "17"}, headers=key)
    mine = bank.caller("client", "1")("POST", "/consent", json={**body, "client_id": "1"}, headers=key)
    assert (theirs.json()["consent_id"], mine.json()["consent_id"]) == (f"17_{VICTIM}", f"1_{VICTIM}")
