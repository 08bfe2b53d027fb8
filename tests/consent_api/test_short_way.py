"""Promises of the short way: nobody can tell it from the long one, whatever is refused is refused there, and nothing is kept."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response
from sqlalchemy import select, text

from consent_api import audit, consents, releases
from consent_api.app import create_app, guarded
from consent_api.audit import Actor
from consent_api.budget import Caps
from consent_api.callers import trust
from consent_api.callers.identification import Authenticator
from consent_api.consents import Grant
from consent_api.periods import Period
from consent_api.releases import Order, Subject
from consent_api.tables import AUDIT
from settings import Settings
from tests.consent_api.test_group_commit import gathering, submit_for_ever

ACTOR = Actor("flow:aggregate", "flow")
COMPANY, KIND = "dala-market", "category_spending"
PATH = f"/aggregated-data/{COMPANY}/{KIND}"
UNUSUAL = {"Pragma": "no-cache"}
"""A header that asks for nothing and sends a request the long way."""
DOCUMENT = json.dumps(
    {
        "company": COMPANY,
        "data_type": KIND,
        "metrics": {"total": 100, "top_category": "Такси"},
        "sample_size": 185,
        "generated_at": "2026-11-02T00:00:00+00:00",
        "privacy": {"period": "2026-10", "standard_deviation": {"total": 7.5, "sample_size": 2.5}},
    }
).encode()
_OWN = ("sequence", "request_id", "previous_hash", "hash")
"""What is different in any two audit rows."""


class Counted:
    """The long way, which counts who takes it."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.taken = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.taken += 1
        await self.app(scope, receive, send)


@dataclass
class Ways:
    """A service behind both ways, asked by one or by the other."""

    bank: Any
    http: TestClient
    long: Counted

    def ask(self, path: str, headers: dict[str, str], method: str = "GET") -> tuple[Response, bool, list[dict[str, Any]]]:
        """The answer, whether the long way was taken, and the audit rows that were written for it."""
        before, taken = len(self.rows()), self.long.taken
        answer = self.http.request(method, path, headers=headers)
        return answer, self.long.taken > taken, self.rows()[before:]

    def rows(self) -> list[dict[str, Any]]:
        with self.bank.store.reading() as connection:
            return [dict(row._mapping) for row in connection.execute(select(AUDIT).order_by(AUDIT.c.sequence))]

    def same(self, path: str, headers: dict[str, str], method: str = "GET") -> tuple[Response, bool]:
        """The answer, the same by both ways with its headers and its rows; and whether it came the short way."""
        plain, went_long, rows = self.ask(path, headers, method)
        unusual, always, expected = self.ask(path, headers | UNUSUAL, method)
        assert always
        assert (plain.status_code, plain.content) == (unusual.status_code, unusual.content)
        assert _without_id(plain) == _without_id(unusual)
        assert [_comparable(row) for row in rows] == [_comparable(row) for row in expected]
        for answer, written in ((plain, rows), (unusual, expected)):
            assert {row["request_id"] for row in written} <= {answer.headers.get("X-Request-Id")}
        return plain, not went_long


def _without_id(answer: Response) -> list[tuple[str, str]]:
    return sorted((name, "" if name == "x-request-id" else value) for name, value in answer.headers.multi_items())


def _comparable(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _OWN}


def behind_both(bank: Any, app: FastAPI, config: Settings) -> Ways:
    entrance: Any = guarded(app, config)
    entrance._app = counted = Counted(entrance._app)
    return Ways(bank, TestClient(entrance, base_url="http://127.0.0.1", raise_server_exceptions=False), counted)


@pytest.fixture
def partner(bank, monkeypatch) -> dict[str, str]:
    """The key of a partner with releases of two months, September's suppressed; keys are trusted for the whole test."""
    monkeypatch.setattr(trust, "_SECONDS", 3600.0)
    with bank.store.writing() as connection:
        consents.grant(connection, [Grant("1", COMPANY, KIND, "market_statistics")], ACTOR, bank.clock())
    for month in (9, 10):
        order = Order(Subject(COMPANY, KIND, Period(2026, month)), "market_statistics", 0.01)
        (begun,) = releases.begin(bank.store, [order], Caps(9, 9), ACTOR, bank.clock)
        shown = {"all": DOCUMENT, "city": DOCUMENT, "age_group": b"{}"} if month == 10 else {"all": None}
        releases.publish(bank.store, [(begun, shown)], ACTOR, datetime(2026, 11, 2, tzinfo=UTC))
    return bank.headers("partner", COMPANY)


@pytest.fixture
def ways(bank, partner) -> Ways:
    both = behind_both(bank, bank.http.app, bank.config)
    assert both.ask(PATH, partner)[1], "a key that nobody has looked up yet goes the long way"
    return both


def test_an_allowed_read_is_answered_by_both_ways_alike(ways: Ways, partner: dict[str, str]) -> None:
    known = {"If-None-Match": f'"other", {ways.ask(PATH, partner)[0].headers["ETag"]}'}
    asked: list[tuple[str, dict[str, str], int]] = [
        (PATH, {}, 200),
        (PATH, known, 304),
        (PATH, {"If-None-Match": '"other"'}, 200),
        (PATH, {"Accept": "text/csv"}, 200),
        (PATH, {"X-Request-Id": "mine-and-not-to-be-taken"}, 200),
        (f"{PATH}?format=csv&segment=city", {}, 200),
        (f"{PATH}?format=csv&segment=age_group", {}, 500),  # whose document cannot be read as figures
        (f"{PATH}?period=2026-09", {}, 200),
        (f"{PATH}?periods=2026-01..2026-12", {}, 200),
        (f"/aggregated-data/{COMPANY}", {}, 200),
        (f"/aggregated-data/{COMPANY}?period=2026-10", {}, 200),
    ]
    for path, headers, status in asked:
        answer, short = ways.same(path, partner | headers)
        assert (answer.status_code, short) == (status, True), path
    with ways.bank.store.reading() as connection:
        assert audit.verify(connection).first_bad is None


def test_every_read_has_its_own_id_and_its_own_row(ways: Ways, partner: dict[str, str]) -> None:
    answers = [ways.ask(PATH, partner) for _ in range(3)]
    assert not any(long for _, long, _ in answers)
    assert [[row["request_id"] for row in rows] for _, _, rows in answers] == [
        [answer.headers["X-Request-Id"]] for answer, _, _ in answers
    ]
    assert len({answer.headers["X-Request-Id"] for answer, _, _ in answers}) == 3


def test_whatever_is_refused_or_unusual_goes_the_long_way(ways: Ways, partner: dict[str, str]) -> None:
    client = ways.bank.headers("client", "1")
    ways.ask(PATH, client)  # so that its key is known, too
    asked: list[tuple[str, dict[str, str], int]] = [
        ("/aggregated-data/jolda-travel", partner, 403),
        (f"/aggregated-data/nobody/{KIND}", partner, 400),
        (f"/aggregated-data/{COMPANY}/nothing", partner, 400),
        (f"{PATH}?segment=client", partner, 400),
        (f"{PATH}?period=2026-13", partner, 422),
        (f"{PATH}?period=2026-09&period=2026-10", partner, 422),
        (f"{PATH}?client_id=1", partner, 422),
        (PATH, partner | {"If-None-Match": "x" * 1001}, 422),
        (PATH, partner | {"Host": "rebound.example"}, 400),
        (PATH, client, 403),
        (PATH, {}, 401),
        (PATH, {"X-API-Key": "opora-0-0"}, 401),
        (PATH, partner | {"Authorization": "Bearer x"}, 400),
        (PATH, partner | {"Origin": "https://elsewhere.example"}, 200),
    ]
    for path, headers, status in asked:
        answer, short = ways.same(path, headers)
        assert (answer.status_code, short) == (status, False), (path, answer.text)


def test_only_get_takes_the_short_way(ways: Ways, partner: dict[str, str]) -> None:
    for method in ("HEAD", "POST", "DELETE"):
        answer, short = ways.same(PATH, partner, method)
        assert (answer.status_code, short) == (405, False)


def test_a_key_that_ended_or_was_revoked_is_refused_and_the_refusal_audited(
    ways: Ways, partner: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    at = ways.bank.clock()
    ending = {"X-API-Key": ways.bank.service.keyring.issue("partner", COMPANY, at, at + timedelta(hours=1))}
    assert [ways.ask(PATH, ending)[1] for _ in range(2)] == [True, False]
    ways.bank.clock.moment = at + timedelta(hours=1)
    refused, short = ways.same(PATH, ending)
    assert (refused.status_code, short) == (401, False)
    monkeypatch.setattr(trust, "_SECONDS", 0.05)
    ways.bank.http.app.state.authenticator = Authenticator(ways.bank.service)
    revoked = ways.bank.headers("partner", COMPANY)
    assert ways.ask(PATH, revoked)[0].status_code == 200
    ways.bank.service.keyring.revoke(revoked["X-API-Key"].split("-")[1], at)
    time.sleep(0.06)  # longer than it is trusted
    refused, short = ways.same(PATH, revoked)
    assert (refused.status_code, short) == (401, False)


@pytest.fixture
def limited(bank, partner) -> Iterator[Callable[[], Ways]]:
    """Makes services that let each caller send four requests, ever."""
    config = Settings(var=bank.config.var, rate_limit_per_second=1e-6, rate_limit_burst=4)
    with ExitStack() as running:

        def made() -> Ways:
            app = create_app(lambda: bank.service, config)
            running.enter_context(TestClient(app))
            return behind_both(bank, app, config)

        yield made


def test_each_request_by_either_way_takes_one_from_the_callers_bucket(limited, partner: dict[str, str]) -> None:
    foreign = "/aggregated-data/jolda-travel"
    for paths, statuses in (
        ([PATH] * 6, [200] * 4 + [429] * 2),
        ([PATH, foreign, PATH, foreign, PATH], [200, 403, 200, 403, 429]),
    ):
        plain, unusual = limited(), limited()
        short = [plain.ask(path, partner) for path in paths]
        long = [unusual.ask(path, partner | UNUSUAL) for path in paths]
        assert [answer.status_code for answer, _, _ in short] == [answer.status_code for answer, _, _ in long] == statuses
        assert [answer.content for answer, _, _ in short] == [answer.content for answer, _, _ in long]
        assert [len(rows) for _, _, rows in short] == [len(rows) for _, _, rows in long] == [status != 429 for status in statuses]
        assert [went_long for _, went_long, _ in short][2] is False
        assert "Retry-After" in short[-1][0].headers


def test_when_the_database_fails_both_ways_give_nothing_out(ways: Ways, partner: dict[str, str]) -> None:
    with gathering(ways.bank.store):
        with pytest.raises(Exception, match="wait for the database"):
            submit_for_ever(ways.bank.store)
        busy, short = ways.same(PATH, partner)
        assert (busy.status_code, busy.headers["Retry-After"], short) == (503, "1", True)
    rename(ways, "consent_audit", "consent_audit_away")
    answers = [ways.http.get(PATH, headers=headers) for headers in (partner, partner | UNUSUAL)]
    rename(ways, "consent_audit_away", "consent_audit")
    assert [answer.status_code for answer in answers] == [503, 503]
    assert answers[0].content == answers[1].content
    assert _without_id(answers[0]) == _without_id(answers[1])
    assert ways.same(PATH, partner)[0].status_code == 200


def rename(ways: Ways, table: str, name: str) -> None:
    with ways.bank.store.writing() as connection:
        connection.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))


def test_nothing_is_kept_from_one_read_to_the_next(ways: Ways, partner: dict[str, str]) -> None:
    assert ways.same(PATH, partner)[0].json()["total_datasets"] == 1
    with ways.bank.store.writing() as connection:
        consents.revoke(connection, "1", COMPANY, ACTOR, ways.bank.clock())
    withdrawn, short = ways.same(PATH, partner)
    assert (withdrawn.json()["total_datasets"], short) == (0, True)
    with ways.bank.store.writing() as connection:
        consents.grant(connection, [Grant("2", COMPANY, KIND, "market_statistics")], ACTOR, ways.bank.clock())
    assert ways.same(PATH, partner)[0].json()["total_datasets"] == 1
