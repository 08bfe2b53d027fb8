"""Promises to clients: they see all that happened to their consents, where they were counted, and how to be forgotten."""

import base64
import json
from datetime import timedelta

import pandas as pd
import pytest
from sqlalchemy import insert, select

from consent_api.budget import cost
from consent_api.retention import Policy, retain
from consent_api.tables import CHARGES, ERASURES, PUBLISHED, RELEASES
from features.categories import CATEGORIES
from features.own_spending import SPENDING_YEAR

WISH = {"client_id": "7", "company": "dala-market", "data_types": ["category_spending"], "is_active": True}


def decide(bank, **changes) -> None:
    answer = bank.http.post("/consent", json={**WISH, **changes}, headers=bank.headers("client", changes.get("client_id", "7")))
    assert answer.status_code == 200, answer.text


def release(bank, release_id: str, clients: list[str], period: str = "2026-10") -> None:
    row = {"release_id": release_id, "company": "dala-market", "data_type": "category_spending", "period": period}
    row |= {"begun_at": bank.clock(), "year": bank.clock().year, "rho_nano": cost(0.125)}
    published = {"release_id": release_id, "segment": "all", "document": b"{}", "at": bank.clock()}
    charges = [{"release_id": release_id, "client_code": each, "year": row["year"], "rho_nano": cost(0.125)} for each in clients]
    with bank.store.writing() as connection:
        connection.execute(insert(RELEASES).values(row))
        connection.execute(insert(PUBLISHED).values(published))
        if charges:
            connection.execute(insert(CHARGES), charges)


def test_history_has_every_grant_change_withdrawal_and_end_page_by_page(bank) -> None:
    decide(bank)
    bank.clock.moment += timedelta(days=1)
    decide(bank, expires_at=(bank.clock() + timedelta(days=2)).isoformat())
    bank.clock.moment += timedelta(days=3)
    decide(bank)
    bank.clock.moment += timedelta(days=1)
    decide(bank, is_active=False)
    decide(bank, client_id="8")
    read = bank.caller("client", "7")
    whole = read("GET", "/client/7/history").json()
    states = [event["state"] for event in whole["events"]]
    assert sorted(states) == ["active", "active", "active", "expired", "revoked", "superseded"]
    assert [event["at"] for event in whole["events"]] == sorted(event["at"] for event in whole["events"])
    assert whole["next"] is None
    pages, after = [], None
    while True:
        page = read("GET", "/client/7/history", params={"limit": 4} | ({"after": after} if after else {})).json()
        pages += page["events"]
        after = page["next"]
        if after is None:
            break
    assert pages == whole["events"]
    csv = read("GET", "/client/7/history?format=csv")
    assert csv.headers["content-type"].startswith("text/csv")
    assert len(csv.text.splitlines()) == 7


@pytest.mark.parametrize("after", ["x", "W10=", "WzEsMl0=", "WyIyMDI2IiwgMSwgMl0=", "bnVsbA==", "WyIyMDI2LTAxLTAxIiwgImEiXQ=="])
def test_a_made_up_page_is_refused(bank, after: str) -> None:
    answer = bank.caller("client", "7")("GET", f"/client/7/history?after={after}")
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "after")


FORGED_PAGES = {
    "a moment before the calendar": ["0001-01-01T00:00:00+14:00", "a", "active"],
    "a text that PostgreSQL cannot hold": ["2026-01-01T00:00:00+00:00", "\0", "active"],
    "a number instead of a text": ["2026-01-01T00:00:00+00:00", 1, "active"],
    "a number above 64 bits": [2**63],
    "truth": [True],
}


@pytest.mark.parametrize("content", FORGED_PAGES.values(), ids=FORGED_PAGES)
def test_p32_a_page_with_what_no_database_compares_with_is_refused(bank, content: list) -> None:
    after = base64.urlsafe_b64encode(json.dumps(content).encode()).decode()
    for call, path in (
        (bank.caller("client", "7"), "/client/7/history"),
        (bank.caller("client", "7"), "/client/7/disclosures"),
        (bank.caller("auditor", "baurzhan"), "/audit"),
    ):
        answer = call("GET", path, params={"after": after})
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, "after"), path


def test_disclosures_name_the_releases_that_counted_the_client_and_what_they_cost(bank) -> None:
    decide(bank)
    bank.clock.moment += timedelta(hours=1)
    release(bank, "counted", ["7", "8"])
    answer = bank.caller("client", "7")("GET", "/client/7/disclosures").json()
    (only,) = answer["disclosures"]
    assert (only["release_id"], only["company"], only["period"]) == ("counted", "dala-market", "2026-10")
    assert (only["published"], only["counted"], only["rho"]) == (True, True, 0.125)
    assert (answer["spent_rho"], answer["yearly_rho"], answer["year"]) == (0.125, 1.5, 2026)


def test_disclosures_say_when_the_cap_left_the_client_out_and_only_while_it_consented(bank) -> None:
    release(bank, "before", ["8"], "2026-08")
    bank.clock.moment += timedelta(hours=1)
    decide(bank)
    bank.clock.moment += timedelta(hours=1)
    release(bank, "at-the-cap", ["8"], "2026-09")
    bank.clock.moment += timedelta(hours=1)
    decide(bank, is_active=False)
    bank.clock.moment += timedelta(hours=1)
    release(bank, "after", ["8"], "2026-10")
    (only,) = bank.caller("client", "7")("GET", "/client/7/disclosures").json()["disclosures"]
    assert (only["release_id"], only["counted"], only["rho"]) == ("at-the-cap", False, 0.0)


def test_a_client_sees_its_profile_and_its_spending_by_month_and_category(bank) -> None:
    online, as_of = bank.service.online, pd.Timestamp(2026, 11, 21)
    people = {"client_code": ["7"], "as_of": as_of, "name": ["Аня"], "status": ["VIP"], "age": [30], "city": ["Алматы"]}
    online.write("profile", pd.DataFrame({**people, "holdings": [["Ипотека"]]}))
    months = {f"month_{ago}": [float(ago)] for ago in range(1, 13)}
    spent = {f"year_{slug}": [0.0] for slug in CATEGORIES.values()} | {"year_taxi": [5.0], "year_fuel": [9.5]}
    online.write(SPENDING_YEAR, pd.DataFrame({"client_code": ["7"], "as_of": as_of, "purchases": [3], **months, **spent}))
    answer = bank.caller("client", "7")("GET", "/client/7").json()
    assert (answer["name"], answer["city"], answer["products"]) == ("Аня", "Алматы", ["Ипотека"])
    assert answer["spending"]["months"][0] == {"month": "2026-10", "amount_kzt": 1.0}
    assert answer["spending"]["months"][-1] == {"month": "2025-11", "amount_kzt": 12.0}
    assert answer["spending"]["categories"] == [{"title": "АЗС", "amount_kzt": 9.5}, {"title": "Такси", "amount_kzt": 5.0}]
    online.write(SPENDING_YEAR, pd.DataFrame({"client_code": [], "as_of": []}))
    assert bank.caller("client", "7")("GET", "/client/7").json()["spending"] is None


def test_nobody_but_the_client_sees_what_it_bought(bank) -> None:
    statuses = [bank.caller(role, "7")("GET", "/client/7").status_code for role in ("client", "staff", "partner", "auditor")]
    assert statuses == [200, 403, 403, 403]


def test_erasure_withdraws_at_once_and_names_its_deadline(bank) -> None:
    decide(bank)
    call = bank.caller("client", "7")
    answer = call("POST", "/client/7/erasure")
    assert (answer.status_code, answer.json()["due_at"][:10]) == (202, "2026-12-04")
    assert call("GET", "/client/7/consents").json()["consents"][0]["is_active"] is False
    bank.clock.moment += timedelta(days=1)
    assert call("POST", "/client/7/erasure").json()["due_at"] == answer.json()["due_at"]
    with bank.store.reading() as connection:
        assert connection.scalars(select(ERASURES.c.client_code)).all() == ["7"]


@pytest.mark.parametrize("path", ["/client/8", "/client/8/history", "/client/8/disclosures", "/client/8/erasure"])
def test_nobody_sees_or_erases_another_client(bank, path: str) -> None:
    method = "POST" if path.endswith("erasure") else "GET"
    assert bank.caller("client", "7")(method, path).status_code == 403
    assert bank.caller("partner", "dala-market")(method, path).status_code == 403
    assert bank.caller("auditor", "daniyar")(method, path).status_code == 403
    assert bank.http.request(method, path).status_code == 401


def test_a_csv_that_is_one_page_of_several_says_where_the_next_one_is(bank) -> None:
    """A spreadsheet of the first hundred rows looks like all there is."""
    for _ in range(3):
        decide(bank)
    release(bank, "first", ["7"], "2026-08")
    release(bank, "second", ["7"], "2026-09")
    read = bank.caller("client", "7")
    for path, limit in (("/client/7/history", 2), ("/client/7/disclosures", 1)):
        rows, address = [], f"{path}?format=csv&limit={limit}"
        while address:
            page = read("GET", address)
            rows += page.text.splitlines()[1:]
            following = page.links.get("next")
            address = following and f"{path}{following['url']}"
        assert rows == read("GET", f"{path}?format=csv").text.splitlines()[1:]
        assert len(rows) > limit


def test_a_client_who_has_left_the_bank_still_sees_ends_and_has_erased_what_it_decided(bank) -> None:
    decide(bank)
    bank.service.online.write("profile", pd.DataFrame({"client_code": [], "as_of": []}))
    call = bank.caller("client", "7")
    for path in ("consents", "history", "disclosures"):
        assert call("GET", f"/client/7/{path}").status_code == 200, path
    assert call("POST", "/consent", json=WISH).status_code == 404
    assert call("POST", "/consent", json={**WISH, "is_active": False}).json()["message"] == "consent withdrawn"
    assert call("DELETE", "/client/7/consents").status_code == 200
    assert call("POST", "/client/7/erasure").status_code == 202
    assert bank.caller("client", "8")("GET", "/client/8/consents").status_code == 404


def test_a_consent_given_after_asking_for_erasure_stays_and_what_was_before_goes(bank) -> None:
    decide(bank)
    release(bank, "before", ["7"])
    assert bank.caller("client", "7")("POST", "/client/7/erasure").status_code == 202
    bank.clock.moment += timedelta(hours=1)
    decide(bank)
    assert retain(bank.store, Policy.of(bank.config), bank.clock() + timedelta(days=1))["erased"] == 0
    call = bank.caller("client", "7")
    (consent,) = call("GET", "/client/7/consents").json()["consents"]
    assert (consent["is_active"], len(call("GET", "/client/7/history").json()["events"])) == (True, 1)
    assert call("GET", "/client/7/disclosures").json()["spent_rho"] == 0.125  # erasure resets no budget


def test_a_request_of_the_bank_after_asking_for_erasure_is_not_lost(bank) -> None:
    decide(bank)
    staff = bank.caller("staff", "aigerim")
    assert staff("POST", "/client/7/erasure").status_code == 202
    asked = {name: WISH[name] for name in ("client_id", "company", "data_types")}
    assert staff("POST", "/consent-requests", json=asked).json()["consent"]["version"] == 1
    retain(bank.store, Policy.of(bank.config), bank.clock() + timedelta(days=1))
    assert staff("GET", "/client/7/consents").json()["consents"][0]["records"][0]["status"] == "requested"
