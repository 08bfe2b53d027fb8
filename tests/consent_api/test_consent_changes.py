"""Promises of changing a consent: once for each key, to what was read, withdrawn in one call, asked for by staff."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select

from consent_api import receipts
from consent_api.tables import ANSWERS, AUDIT, EVENTS, RECORDS

BODY = {"client_id": "17", "company": "dala-market", "data_types": ["category_spending"], "is_active": True}
ASKED = {name: BODY[name] for name in ("client_id", "company", "data_types")}
CONSENT = "/consent/17_dala-market"


@pytest.fixture
def client(bank) -> Callable:
    return bank.caller("client", "17")


@pytest.fixture
def staff(bank) -> Callable:
    return bank.caller("staff", "aigerim")


def rows(bank, table=RECORDS) -> int:
    with bank.store.reading() as connection:
        return connection.scalar(select(func.count()).select_from(table))


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """Start all of them at the same moment, each in a thread of its own."""
    ready = threading.Barrier(len(calls))

    def started(call: Callable[[], Any]) -> Any:
        ready.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(started, calls))


def test_p16_twenty_at_once_with_one_key_write_once_and_are_answered_alike(bank, client) -> None:
    answers = at_once([lambda: client("POST", "/consent", json=BODY, headers={"Idempotency-Key": "k1"})] * 20)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len({(answer.headers["ETag"], answer.headers["Location"]) for answer in answers}) == 1
    assert (rows(bank), rows(bank, EVENTS), rows(bank, ANSWERS)) == (1, 1, 1)


def test_p16_twenty_withdrawals_at_once_with_one_key_withdraw_once(bank, client) -> None:
    client("POST", "/consent", json=BODY)
    answers = at_once([lambda: client("DELETE", CONSENT, headers={"Idempotency-Key": "k1"})] * 20)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert (rows(bank), rows(bank, EVENTS), rows(bank, ANSWERS)) == (1, 2, 1)


@pytest.mark.parametrize(
    "other",
    [
        {"json": {**BODY, "is_active": False}},
        {"json": {**BODY, "data_types": ["average_bill"]}},
        {"json": BODY, "headers": {"Notice-Language": "en"}},
    ],
)
def test_p16_a_key_is_good_for_one_request_only(bank, client, other: dict[str, Any]) -> None:
    key = {"Idempotency-Key": "k1"}
    assert client("POST", "/consent", json=BODY, headers=key).status_code == 200
    refused = client("POST", "/consent", **{**other, "headers": {**other.get("headers", {}), **key}})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "idempotency_conflict")
    withdrawal = client("DELETE", CONSENT, headers=key)
    assert (withdrawal.status_code, withdrawal.json()["error"]["code"]) == (422, "idempotency_conflict")
    assert (rows(bank), rows(bank, EVENTS)) == (1, 1)


@pytest.mark.parametrize("name", ["Idempotency-Key", "If-Match", "Notice-Version", "Notice-Language"])
def test_p16_a_header_that_comes_twice_is_no_decision(bank, name: str) -> None:
    """A proxy may go by the other one of the two."""
    values = {"If-Match": ['"0"', '"1"'], "Notice-Language": ["ru", "en"]}.get(name, ["a", "b"])
    headers = [*bank.headers("client", "17").items(), *((name, value) for value in values)]
    refused = bank.http.post("/consent", json=BODY, headers=headers)
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, name)
    assert rows(bank) == 0


@pytest.mark.parametrize(("role", "path"), [("client", "/consent"), ("staff", "/consent-requests")])
@pytest.mark.parametrize(
    ("name", "meant", "said"), [("company", "silk-travel", "dala-market"), ("is_active", False, True), ("expires_at", None, None)]
)
def test_p16_a_field_that_comes_twice_is_no_decision(bank, role: str, path: str, name: str, meant: object, said: object) -> None:
    """Whoever shows or logs the body may go by the other one of the two."""
    body = json.dumps(BODY if role == "client" else ASKED)[1:-1]
    twice = f"{{{json.dumps(name)}: {json.dumps(meant)}, {body}, {json.dumps(name)}: {json.dumps(said)}}}"
    refused = bank.caller(role, "17")("POST", path, content=twice, headers={"Content-Type": "application/json"})
    assert (refused.status_code, refused.json()["error"]["message"]) == (422, f"{name}: is given twice")
    assert rows(bank) == 0


@pytest.mark.parametrize(
    "body", [b"\xff\xfe{", b'{"client_id": ' + b"9" * 5000 + b"}", b"[" * 10_000, b'{"client_id": "17", }', b""]
)
def test_p11_a_body_that_cannot_be_read_is_refused_by_name_and_audited(bank, client, body: bytes) -> None:
    refused = client("POST", "/consent", content=body, headers={"Content-Type": "application/json"})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "body")
    with bank.store.reading() as connection:
        of_it = AUDIT.c.request_id == refused.headers["X-Request-Id"]
        assert connection.execute(select(AUDIT.c.action, AUDIT.c.object).where(of_it)).all() == [
            ("request.refused", "POST /consent")
        ]


def test_p16_the_same_key_of_another_client_is_another_key(bank, client) -> None:
    key = {"Idempotency-Key": "k1"}
    first = client("POST", "/consent", json=BODY, headers=key)
    second = bank.caller("client", "18")("POST", "/consent", json={**BODY, "client_id": "18"}, headers=key)
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.json()["consent"]["client_id"] == "18"
    assert rows(bank) == 2


def test_p16_a_retry_gets_the_first_answer_even_after_the_consent_has_changed(bank, client) -> None:
    key = {"Idempotency-Key": "k1"}
    first = client("POST", "/consent", json=BODY, headers=key)
    client("DELETE", CONSENT)
    again = client("POST", "/consent", json=BODY, headers=key)
    assert again.content == first.content
    assert (again.headers["ETag"], again.headers["Location"]) == (first.headers["ETag"], first.headers["Location"])
    assert client("GET", CONSENT).json()["is_active"] is False
    assert rows(bank) == 1


def test_p16_a_refused_request_leaves_its_key_unused(bank, client) -> None:
    key = {"Idempotency-Key": "k1"}
    assert client("POST", "/consent", json=BODY, headers={**key, "If-Match": '"7"'}).status_code == 409
    assert client("POST", "/consent", json=BODY, headers=key).status_code == 200


def test_an_answer_says_where_the_consent_is_and_which_version(bank, client) -> None:
    answer = client("POST", "/consent", json=BODY)
    assert (answer.headers["Location"], answer.headers["ETag"]) == (CONSENT, '"1"')
    read = client("GET", answer.headers["Location"])
    assert (read.status_code, read.headers["ETag"], read.json()) == (200, '"1"', answer.json()["consent"])
    assert client("DELETE", CONSENT).headers["ETag"] == '"2"'


def test_only_a_consent_that_was_given_or_asked_for_can_be_read_and_withdrawn(bank, client) -> None:
    for path in (CONSENT, "/consent/17_nobody"):
        for method in ("GET", "DELETE"):
            answer = client(method, path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_consent")


def test_of_two_changes_of_the_same_version_one_wins_and_the_other_is_told(bank, client) -> None:
    client("POST", "/consent", json=BODY)
    change = {"json": {**BODY, "data_types": ["average_bill"]}, "headers": {"If-Match": '"1"'}}
    answers = at_once(
        [
            lambda: client("POST", "/consent", **change),
            lambda: client("DELETE", CONSENT, headers={"If-Match": '"1"'}),
        ]
    )
    winner, loser = sorted(answers, key=lambda answer: answer.status_code)
    assert (winner.status_code, loser.status_code) == (200, 409)
    assert loser.json()["error"]["code"] == "consent_changed"
    assert "read it again" in loser.json()["error"]["message"]
    assert loser.headers["ETag"] == winner.headers["ETag"] == '"2"'
    assert rows(bank, EVENTS) == 2


def test_an_expiry_is_a_change_too(bank, client) -> None:
    client("POST", "/consent", json={**BODY, "expires_at": "2026-12-01T00:00:00Z"})
    bank.clock.moment = bank.clock.moment.replace(month=12, day=1, hour=0, minute=0, second=0, microsecond=0)
    assert client("DELETE", CONSENT, headers={"If-Match": '"1"'}).status_code == 409
    assert client("GET", CONSENT).headers["ETag"] == '"2"'


@pytest.mark.parametrize("stale", ['"0"', '"2"'])
def test_a_stale_version_changes_nothing(bank, client, stale: str) -> None:
    client("POST", "/consent", json=BODY)
    for method, path, body in (("POST", "/consent", {**BODY, "is_active": False}), ("DELETE", CONSENT, None)):
        assert client(method, path, json=body, headers={"If-Match": stale}).status_code == 409
    assert client("GET", CONSENT).json()["is_active"] is True


def test_if_match_of_the_zeroth_version_creates_only(bank, client) -> None:
    zeroth = {"If-Match": '"0"'}
    assert [client("POST", "/consent", json=BODY, headers=zeroth).status_code for _ in range(2)] == [200, 409]


@pytest.mark.parametrize("malformed", ["1", "*", 'W/"1"', '"x"', '""', '"1" "2"'])
def test_a_malformed_if_match_is_refused_by_name(bank, client, malformed: str) -> None:
    answer = client("POST", "/consent", json=BODY, headers={"If-Match": malformed})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "If-Match")
    assert rows(bank) == 0


def given(client: Callable, staff: Callable, bank) -> None:
    client("POST", "/consent", json=BODY)


def asked(client: Callable, staff: Callable, bank) -> None:
    staff("POST", "/consent-requests", json=ASKED)


def declined(client: Callable, staff: Callable, bank) -> None:
    asked(client, staff, bank)
    client("DELETE", CONSENT)


def withdrawn(client: Callable, staff: Callable, bank) -> None:
    given(client, staff, bank)
    client("DELETE", CONSENT)


def expired(client: Callable, staff: Callable, bank) -> None:
    given(client, staff, bank)
    bank.clock.moment = bank.clock.moment.replace(year=2028)


def renewed(client: Callable, staff: Callable, bank) -> None:
    given(client, staff, bank)
    given(client, staff, bank)


@pytest.mark.parametrize(
    ("situation", "ends_as"),
    [
        (given, "revoked"),
        (renewed, "revoked"),
        (asked, "rejected"),
        (declined, "rejected"),
        (withdrawn, "revoked"),
        (expired, "expired"),
    ],
)
def test_p18_one_delete_without_body_withdraws_from_any_state_and_twice(
    bank, client, staff, situation: Callable, ends_as: str
) -> None:
    situation(client, staff, bank)
    answers = [client("DELETE", CONSENT) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    for answer in answers:
        consent = answer.json()["consent"]
        assert (consent["is_active"], [record["status"] for record in consent["records"]]) == (False, [ends_as])
        assert answer.json()["receipt"].count(".") == 2
    assert answers[0].json()["consent"] == answers[1].json()["consent"]


def test_p18_withdrawing_takes_no_more_calls_than_giving(bank, client) -> None:
    """All data types and purposes that any number of calls gave end with one."""
    for data_type in ("category_spending", "average_bill"):
        for purpose in ("market_statistics", "offer_design"):
            client("POST", "/consent", json={**BODY, "data_types": [data_type], "purpose": purpose})
    consent = client("DELETE", CONSENT).json()["consent"]
    assert [record["status"] for record in consent["records"]] == ["revoked"] * 4


def test_p18_one_call_withdraws_everything_from_everybody_with_a_receipt_for_each(bank, client, staff) -> None:
    for company in ("dala-market", "aspan-cinema"):
        for purpose in ("market_statistics", "offer_design"):
            client("POST", "/consent", json={**BODY, "company": company, "purpose": purpose})
    staff("POST", "/consent-requests", json={**ASKED, "company": "jolda-travel"})
    bank.caller("client", "18")("POST", "/consent", json={**BODY, "client_id": "18"})
    published = bank.http.get("/.well-known/jwks.json").json()
    for message in ("consent withdrawn", "nothing was active"):
        answer = client("DELETE", "/client/17/consents")
        assert (answer.status_code, answer.json()["client_id"]) == (200, "17")
        ended = {each["consent"]["company"]: each for each in answer.json()["withdrawn"]}
        states = {company: [record["status"] for record in each["consent"]["records"]] for company, each in ended.items()}
        assert states == {"aspan-cinema": ["revoked"] * 2, "dala-market": ["revoked"] * 2, "jolda-travel": ["rejected"]}
        for each in ended.values():
            receipt = receipts.verify(each["receipt"], published)
            assert (each["message"], receipt.is_active, receipt.version) == (message, False, each["consent"]["version"])
    assert bank.caller("client", "18")("GET", "/client/18/consents").json()["consents"][0]["is_active"]
    assert bank.caller("client", "19")("DELETE", "/client/19/consents").json() == {"client_id": "19", "withdrawn": []}


def test_staff_ask_and_only_the_client_gives(bank, client, staff) -> None:
    answer = staff("POST", "/consent-requests", json={**ASKED, "expires_at": "2027-01-01T00:00:00Z"})
    assert (answer.status_code, answer.headers["Location"], answer.headers["ETag"]) == (201, CONSENT, '"1"')
    assert answer.json()["message"] == "client asked"
    (record,) = answer.json()["consent"]["records"]
    assert (record["status"], record["given_at"], answer.json()["consent"]["is_active"]) == ("requested", None, False)
    assert staff("POST", "/consent", json=BODY).status_code == 403
    assert client("POST", "/consent-requests", json=ASKED).status_code == 403
    (approved,) = client("POST", "/consent", json=BODY).json()["consent"]["records"]
    assert (approved["record_id"], approved["status"]) == (record["record_id"], "active")
    assert (approved["given_at"], approved["valid_until"]) == ("2026-11-21T12:00:00.654321Z", "2027-01-01T00:00:00Z")
    assert [(event["what"], event["who"], event["channel"]) for event in approved["events"]] == [
        ("requested", "staff", "branch"),
        ("active", "client", "online"),
    ]


def test_asking_for_what_is_asked_for_or_given_changes_nothing(bank, client, staff) -> None:
    for step in (lambda: None, lambda: client("POST", "/consent", json=BODY)):
        staff("POST", "/consent-requests", json=ASKED)
        step()
        answer = staff("POST", "/consent-requests", json=ASKED)
        assert (answer.status_code, answer.json()["message"]) == (201, "already given or asked for")
    assert rows(bank) == 1


def test_p11_what_staff_see_when_there_is_nothing_to_ask_is_audited_too(bank, client, staff) -> None:
    client("POST", "/consent", json=BODY)
    shown = staff("POST", "/consent-requests", json=ASKED)
    assert shown.json()["consent"]["is_active"] is True
    with bank.store.reading() as connection:
        about = connection.scalars(select(AUDIT.c.action).where(AUDIT.c.request_id == shown.headers["X-Request-Id"]))
        assert list(about) == ["consents.read"]


def test_agreeing_to_another_end_or_text_than_was_asked_for_is_a_new_record(bank, client, staff) -> None:
    for change in (
        {"json": {**BODY, "expires_at": "2027-01-01T00:00:00Z"}},
        {"json": BODY, "headers": {"Notice-Language": "en"}},
    ):
        before = staff("POST", "/consent-requests", json=ASKED).json()["consent"]["records"][0]
        (record,) = client("POST", "/consent", **change).json()["consent"]["records"]
        assert (record["status"], record["previous_record_id"]) == ("active", before["record_id"])
        client("DELETE", CONSENT)
    with bank.store.reading() as connection:
        reasons = connection.scalars(select(EVENTS.c.reason).where(EVENTS.c.state == "rejected"))
        assert list(reasons) == ["replaced", "replaced"]


def test_a_request_that_nobody_answers_is_rejected_at_the_second_it_asked_for(bank, client, staff) -> None:
    staff("POST", "/consent-requests", json={**ASKED, "expires_at": "2026-12-01T00:00:00Z"})
    bank.clock.moment = bank.clock.moment.replace(month=12, day=1, hour=0, minute=0, second=0, microsecond=0)
    (record,) = client("GET", CONSENT).json()["records"]
    assert (record["status"], record["status_reason"], record["status_update_at"]) == (
        "rejected",
        "time over",
        "2026-12-01T00:00:00Z",
    )


def test_staff_ask_for_what_exists_only(bank, staff) -> None:
    for change, status in (
        ({"client_id": "999"}, 404),
        ({"company": "nobody"}, 400),
        ({"data_types": ["secrets"]}, 400),
        ({"purpose": "fun"}, 400),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 422),
    ):
        assert staff("POST", "/consent-requests", json={**ASKED, **change}).status_code == status
    assert rows(bank) == 0


def test_p20_two_purposes_in_one_consent_are_refused(bank, client) -> None:
    for purposes in (["market_statistics", "offer_design"], ["market_statistics"], {"a": 1}):
        answer = client("POST", "/consent", json={**BODY, "purpose": purposes})
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, "purpose")
        assert "name one purpose" in answer.json()["error"]["message"]
    for purposes in ("market_statistics,offer_design", "market_statistics offer_design"):
        assert client("POST", "/consent", json={**BODY, "purpose": purposes}).status_code == 400
    assert rows(bank) == 0


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"company": "dаla-market"}, 400, "unknown_company"),  # a Cyrillic а
        ({"company": "dala‑market"}, 400, "unknown_company"),  # a non-breaking hyphen
        ({"company": "dala-market\u200b"}, 400, "unknown_company"),
        ({"company": "DALA-MARKET"}, 400, "unknown_company"),
        ({"data_types": ["category_spending", "category_spеnding"]}, 400, "unknown_data_types"),  # a Cyrillic е
        ({"purpose": "market_ѕtatistics"}, 400, "unknown_purpose"),  # a Cyrillic ѕ
        ({"client_id": "１７"}, 403, "forbidden"),  # full-width digits
        ({"client_id": "١٧"}, 403, "forbidden"),  # Arabic digits
        ({"client_id": "17\u200b"}, 422, "invalid_request"),
        ({"company": "x" * 65}, 422, "invalid_request"),
        ({"data_types": ["category_spending"] * 33}, 422, "invalid_request"),
        ({"expires_at": "1970-01-01T00:00:00Z"}, 422, "invalid_request"),
        ({"expires_at": "2026-11-21T12:00:00Z"}, 422, "invalid_request"),
    ],
)
def test_look_alikes_oversize_and_the_past_are_refused_by_name(bank, client, change, status, code) -> None:
    answer = client("POST", "/consent", json={**BODY, **change})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert len(answer.json()["error"]["message"]) > 20
    assert rows(bank) == 0


def test_full_width_digits_are_no_client(bank, staff) -> None:
    assert staff("POST", "/consent-requests", json={**ASKED, "client_id": "１７"}).status_code == 404
