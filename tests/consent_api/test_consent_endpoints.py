"""Promises of the client's endpoints: consent over HTTP, idempotent, strict, and closed when the database is away."""

import json
import threading
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from consent_api import audit
from consent_api.tables import AUDIT, RECORDS

BODY = {"client_id": 17, "company": "dala-market", "data_types": ["category_spending"], "is_active": True}


def rows(bank, table=RECORDS) -> int:
    with bank.store.reading() as connection:
        return connection.scalar(select(func.count()).select_from(table))


def actions(bank) -> list[str]:
    with bank.store.reading() as connection:
        return list(connection.scalars(select(AUDIT.c.action).order_by(AUDIT.c.sequence)))


def test_a_client_gives_consent_and_sees_it(bank) -> None:
    call = bank.caller("client", "17")
    answer = call("POST", "/consent", json={**BODY, "data_types": ["category_spending", "average_bill"]})
    assert answer.status_code == 200
    assert set(answer.json()) == {"message", "consent_id", "consent", "receipt"}
    assert answer.json()["consent_id"] == "17_dala-market"
    consent = answer.json()["consent"]
    assert consent["is_active"] is True
    assert consent["data_types"] == ["average_bill", "category_spending"]
    assert {record["valid_until"] for record in consent["records"]} == {"2027-11-21T12:00:00Z"}
    assert call("GET", "/client/17/consents").json() == {"client_id": "17", "consents": [consent]}


def test_p18_withdrawing_takes_one_call_without_a_body_and_may_be_repeated(bank) -> None:
    call = bank.caller("client", "17")
    call("POST", "/consent", json=BODY)
    for message in ("consent withdrawn", "nothing was active"):
        answer = call("DELETE", "/consent/17_dala-market")
        assert (answer.status_code, answer.json()["message"]) == (200, message)
        assert answer.json()["consent"]["is_active"] is False
        assert [record["status"] for record in answer.json()["consent"]["records"]] == ["revoked"]
    assert call("DELETE", "/consent/17_jolda-travel").status_code == 404


def test_posting_inactive_withdraws_the_named_data_types_only(bank) -> None:
    call = bank.caller("client", "17")
    call("POST", "/consent", json={**BODY, "data_types": ["category_spending", "average_bill"]})
    answer = call("POST", "/consent", json={**BODY, "is_active": False})
    assert answer.json()["message"] == "consent withdrawn"
    assert answer.json()["consent"]["data_types"] == ["average_bill"]


def test_each_purpose_is_a_record_of_its_own(bank) -> None:
    call = bank.caller("client", "17")
    call("POST", "/consent", json=BODY)
    answer = call("POST", "/consent", json={**BODY, "purpose": "offer_design"}).json()
    assert [(each["purpose"]["code"], each["status"]) for each in answer["consent"]["records"]] == [
        ("market_statistics", "active"),
        ("offer_design", "active"),
    ]


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"client_id": 999}, 403, None),
        ({"company": "nobody"}, 400, "company"),
        ({"data_types": ["secrets"]}, 400, "data_types"),
        ({"purpose": "fun"}, 400, "purpose"),
        ({"data_types": []}, 422, "data_types"),
        ({"data_types": ["category_spending", "category_spending"]}, 422, "data_types"),
        ({"is_active": "yes"}, 422, "is_active"),
        ({"is_active": 1}, 422, "is_active"),
        ({"client_id": True}, 422, "client_id"),
        ({"client_id": 17.0}, 422, "client_id"),
        ({"client_id": "1\x007"}, 422, "client_id"),
        ({"surprise": 1}, 422, "surprise"),
        ({"expires_at": 1e30}, 422, "expires_at"),
        ({"expires_at": "2027-01-01T00:00:00"}, 422, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-12:00"}, 422, "expires_at"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 422, "expires_at"),
        ({"expires_at": "2027-11-21T12:00:01Z"}, 422, "expires_at"),
        ({"is_active": False, "expires_at": "2027-01-01T00:00:00Z"}, 422, "expires_at"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_written(bank, change, status, field) -> None:
    answer = bank.caller("client", "17")("POST", "/consent", json={**BODY, **change})
    assert answer.status_code == status, answer.text
    assert answer.json()["error"].get("field") == field
    assert rows(bank) == 0
    assert actions(bank)[-1] == "request.refused"


def test_a_client_the_bank_does_not_have_is_not_found(bank) -> None:
    call = bank.caller("client", "999")
    assert call("POST", "/consent", json={**BODY, "client_id": "999"}).status_code == 404
    assert call("GET", "/client/999/consents").status_code == 404


def test_p19_the_longest_expiry_is_accepted_and_any_time_zone_understood(bank) -> None:
    answer = bank.caller("client", "17")("POST", "/consent", json={**BODY, "expires_at": "2027-11-21T17:00:00+05:00"})
    assert answer.json()["consent"]["records"][0]["valid_until"] == "2027-11-21T12:00:00Z"


def test_p19_expired_consents_are_shown_as_expired_from_their_last_second_on(bank) -> None:
    call = bank.caller("client", "17")
    call("POST", "/consent", json={**BODY, "expires_at": "2026-12-01T00:00:00Z"})
    bank.clock.moment = bank.clock.moment.replace(month=12, day=1, hour=0, minute=0, second=0, microsecond=0)
    (consent,) = call("GET", "/client/17/consents").json()["consents"]
    assert (consent["is_active"], consent["records"][0]["status"]) == (False, "expired")


def test_p16_the_same_key_and_body_in_parallel_write_once_and_answer_alike(bank) -> None:
    call, answers = bank.caller("client", "17"), []

    def send() -> None:
        answers.append(call("POST", "/consent", json=BODY, headers={"Idempotency-Key": "k1"}))

    threads = [threading.Thread(target=send) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert rows(bank) == 1


def test_p16_a_key_is_bound_to_its_body_and_to_its_owner(bank) -> None:
    key = {"Idempotency-Key": "k1"}
    assert bank.caller("client", "17")("POST", "/consent", json=BODY, headers=key).status_code == 200
    other = bank.caller("client", "17")("POST", "/consent", json={**BODY, "is_active": False}, headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_conflict")
    assert bank.caller("client", "18")("POST", "/consent", json={**BODY, "client_id": 18}, headers=key).status_code == 200
    bad = bank.caller("client", "17")("POST", "/consent", json=BODY, headers={"Idempotency-Key": "a b"})
    assert bad.status_code == 422


def test_p16_a_refused_request_does_not_use_its_key_up(bank) -> None:
    call, key = bank.caller("client", "17"), {"Idempotency-Key": "k1"}
    assert call("POST", "/consent", json={**BODY, "company": "nobody"}, headers=key).status_code == 400
    assert call("POST", "/consent", json=BODY, headers=key).status_code == 200


def test_p11_everything_leaves_one_audit_row_and_the_chain_holds(bank) -> None:
    call = bank.caller("client", "17")
    call("POST", "/consent", json=BODY)
    call("GET", "/client/17/consents")
    call("GET", "/client/18/consents")
    call("DELETE", "/consent/17_dala-market")
    bank.http.get("/client/17/consents")
    expected = ["key.issued", "consent.granted", "consents.read", "request.refused", "consent.revoked", "request.refused"]
    assert actions(bank) == expected
    with bank.store.reading() as connection:
        assert audit.verify(connection) == audit.Verification(6)


def test_p11_an_answer_names_the_request_id_of_its_audit_row(bank) -> None:
    answer = bank.caller("client", "17")("POST", "/consent", json=BODY)
    with bank.store.reading() as connection:
        row = connection.execute(select(AUDIT).where(AUDIT.c.action == "consent.granted")).one()
    assert answer.headers["X-Request-Id"] == row.request_id


def test_p11_without_an_audit_row_there_is_no_data_and_no_change(bank) -> None:
    call = bank.caller("client", "17")
    call("POST", "/consent", json=BODY)
    with bank.store.writing() as connection:
        connection.execute(text("ALTER TABLE consent_audit RENAME TO elsewhere"))
    for method, path, arguments in (
        ("GET", "/client/17/consents", {}),
        ("DELETE", "/consent/17_dala-market", {}),
        ("POST", "/consent", {"json": {**BODY, "company": "aspan-cinema"}}),
        ("GET", "/client/18/consents", {}),
    ):
        answer = call(method, path, **arguments)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable"), (method, path)
    with bank.store.writing() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO consent_audit"))
    assert rows(bank) == 1
    assert call("GET", "/client/17/consents").json()["consents"][0]["is_active"] is True


def test_p13_with_the_database_away_nothing_is_answered_and_it_comes_back(bank) -> None:
    call = bank.caller("partner", "dala-market")
    assert call("GET", "/aggregated-data/dala-market").status_code == 200
    with _away(bank):
        for path in ("/aggregated-data/dala-market", "/companies", "/readyz"):
            answer = call("GET", path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable"), path
        assert bank.http.get("/healthz").status_code == 200
    assert call("GET", "/aggregated-data/dala-market").status_code == 200
    assert bank.http.get("/readyz").status_code == 200


class _away:
    """The database stops answering: a SQLite file that cannot be opened, a PostgreSQL database that takes no connections."""

    def __init__(self, bank) -> None:
        self._engine = bank.store.engine

    def __enter__(self) -> None:
        self._switch(False)

    def __exit__(self, *_: object) -> None:
        self._switch(True)

    def _switch(self, there: bool) -> None:
        from pathlib import Path

        from sqlalchemy import create_engine

        self._engine.dispose()
        name = self._engine.url.database
        if self._engine.dialect.name == "sqlite":
            here, aside = Path(name), Path(f"{name}.aside")
            if there:
                here.rmdir()
                aside.rename(here)
            else:
                here.rename(aside)
                here.mkdir()
            return
        server = create_engine(self._engine.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
        with server.connect() as connection:
            connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {str(there).lower()}'))
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name}
            )
        server.dispose()


MALFORMED = (
    b"",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b'{"client_id": NaN}',
    b'{"client_id": Infinity, "is_active": -Infinity}',
    b'{"client_id": ' + b"9" * 5000 + b"}",
    b'{"client_id": 1e999}',
    b"[" * 50_000,
    b'{"a":' * 3000 + b"1" + b"}" * 3000,
    b"\xff\xfe\x00",
    b'{"client_id": "\\ud800"}',
    b'{"\\ud800": 1}',
    json.dumps({**BODY, "company": "x" * 100_000}).encode(),
    json.dumps({**BODY, "data_types": [[]] * 1000}).encode(),
    b" " * ((1 << 20) + 1),
)


def test_p32_no_malformed_body_makes_a_5xx(bank) -> None:
    call = bank.caller("client", "17")
    for content in MALFORMED:
        answer = call("POST", "/consent", content=content, headers={"Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500, content[:40]
        assert set(answer.json()) == {"error"}, content[:40]


values = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8) | st.just("category_spending")
bodies = st.dictionaries(
    st.sampled_from([*BODY, "purpose", "expires_at", "x"]), values | st.lists(values, max_size=3), max_size=8
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies)
def test_p32_any_json_is_answered_with_a_consent_or_a_named_error(bank, body) -> None:
    content = json.dumps({**BODY, **body}).encode()
    answer = bank.caller("client", "17")("POST", "/consent", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code < 500
    assert answer.status_code == 200 or set(answer.json()) == {"error"}


ODD_ADDRESSES = {
    "nul as a client": "/client/%00/consents",
    "no utf-8": "/client/%ff%fe/consents",
    "a client of 500 digits": "/client/" + "9" * 500 + "/consents",
    "nul as a client of a consent": "/consent/%00_dala-market",
    "nul as a company of a consent": "/consent/17_%00",
    "nul as a company": "/consent-notices?company=%00",
    "nul as an actor": "/audit?actor=%00",
    "nul as an action": "/audit?action=%00",
    "nul as an object": "/audit/export?object=%00",
}


@pytest.mark.parametrize("path", ODD_ADDRESSES.values(), ids=ODD_ADDRESSES)
def test_p32_odd_addresses_are_refused(bank, path) -> None:
    for role in ("client", "staff", "auditor"):
        assert 400 <= bank.caller(role, "17")("GET", path).status_code < 500


def test_p32_a_company_that_no_database_compares_with_is_refused(bank) -> None:
    call = bank.caller("client", "17")
    answer = call("POST", "/consent", json={**BODY, "company": "\0"}, headers={"If-Match": '"0"'})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "company")
    assert call("DELETE", "/consent/17_%00").status_code == 422


def test_a_consent_at_the_end_of_its_time_can_be_renewed(bank) -> None:
    call = bank.caller("client", "17")
    first = call("POST", "/consent", json=BODY).json()["consent"]["records"][0]
    bank.clock.moment += timedelta(days=366)
    (record,) = call("POST", "/consent", json=BODY).json()["consent"]["records"]
    assert (record["status"], record["previous_record_id"]) == ("active", first["record_id"])


def test_p23_measurements_count_requests_and_name_no_client(bank) -> None:
    bank.caller("client", "17")("GET", "/client/17/consents")
    text = bank.http.get("/metrics").text
    assert 'opora_requests_total{endpoint="/client/{client_id}/consents",status="200"}' in text
    assert "client/17" not in text
