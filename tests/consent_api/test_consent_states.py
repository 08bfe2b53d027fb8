"""P4: whatever is asked, given, withdrawn and waited for, consents are in the states a naive model says.

`OPORA_CONSENT_WALKS=500` takes as many walks as the promise names; without it a twentieth of that.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import ColumnElement, and_, exists, not_, or_, select

from consent_api import consents, releases
from consent_api.audit import Actor
from consent_api.consents import Grant
from consent_api.record.current import has_ended
from consent_api.record.states import FINAL, TRANSITIONS, ForbiddenTransition, require_transition
from consent_api.store import Store, open_store
from consent_api.tables import EVENTS, RECORDS
from settings import Settings
from tests.consent_api.cohorts import cohort

WALKS = int(os.environ.get("OPORA_CONSENT_WALKS", "25"))
STEPS = 30
CLIENT, STAFF = Actor("test", "client"), Actor("test", "staff")
COMPANY = "dala-market"
DATA_TYPES = ("category_spending", "average_bill")
PURPOSES = ("market_statistics", "offer_design")
KINDS = tuple(product(DATA_TYPES, PURPOSES))
SECOND = timedelta(seconds=1)
revoke_as_it_is = consents.revoke
ALLOWED = {
    ("requested",),
    ("requested", "active"),
    ("requested", "rejected"),
    ("active",),
    *((*before, "active", end) for before in ((), ("requested",)) for end in ("revoked", "expired", "superseded")),
}
"""Every life a record can have, written down apart from the product's table."""

some_data_types = st.lists(st.sampled_from(DATA_TYPES), min_size=1, unique=True)
some_purpose = st.sampled_from(PURPOSES)
some_client = st.sampled_from("ab")
some_time = st.none() | st.integers(1, 3).map(lambda s: s * SECOND) | st.integers(1, 364).map(lambda d: timedelta(days=d))


class Walk(RuleBasedStateMachine):
    """Random steps against the store, and beside it the newest record of each kind as state and end."""

    store: Store
    numbers = count()

    def __init__(self) -> None:
        super().__init__()
        self.begun()
        self.prefix = f"{next(self.numbers)}-"
        self.at = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
        self.model: dict[tuple[str, str, str], tuple[str, datetime]] = {}
        self.lives: dict[str, tuple[str, ...]] = {}

    @staticmethod
    def begun() -> None:
        """Called as a walk begins: a seeded fault that remembers anything forgets it here, so that every walk can be repeated."""

    @rule(client=some_client, data_types=some_data_types, purpose=some_purpose, length=some_time)
    def give(self, client: str, data_types: list[str], purpose: str, length: timedelta | None) -> None:
        until = None if length is None else self.at + length
        with self.store.writing() as connection:
            wanted = [Grant(self.prefix + client, COMPANY, each, purpose, until) for each in data_types]
            consents.grant(connection, wanted, CLIENT, self.at)
        for each in data_types:
            state, asked_until = self._now((client, each, purpose))
            end = asked_until if state == "requested" and until is None else until or self._year_on()
            self.model[client, each, purpose] = ("active", end)

    @rule(client=some_client, data_types=some_data_types, purpose=some_purpose, length=some_time)
    def ask(self, client: str, data_types: list[str], purpose: str, length: timedelta | None) -> None:
        until = None if length is None else self.at + length
        with self.store.writing() as connection:
            asked = [Grant(self.prefix + client, COMPANY, each, purpose, until) for each in data_types]
            consents.request(connection, asked, STAFF, self.at)
        for each in data_types:
            if self._now((client, each, purpose))[0] not in ("requested", "active"):
                self.model[client, each, purpose] = ("requested", until or self._year_on())

    @rule(client=some_client, data_types=st.none() | some_data_types, purpose=st.none() | some_purpose)
    def withdraw(self, client: str, data_types: list[str] | None, purpose: str | None) -> None:
        with self.store.writing() as connection:
            ended = consents.revoke(connection, self.prefix + client, COMPANY, CLIENT, self.at, data_types, purpose)
        expected = 0
        for key in [key for key in self.model if key[0] == client]:
            state, until = self._now(key)
            chosen = key[1] in (data_types or DATA_TYPES) and key[2] in ((purpose,) if purpose else PURPOSES)
            if chosen and state in ("requested", "active"):
                self.model[key] = ("revoked" if state == "active" else "rejected", until)
                expected += 1
        assert ended == expected

    @rule(days=st.integers(1, 200))
    def wait_for_days(self, days: int) -> None:
        self.at += timedelta(days=days)

    @rule(past_it=st.integers(-1, 1))
    def wait_for_the_next_end(self, past_it: int) -> None:
        ahead = [until for _, until in self.model.values() if until + past_it * SECOND > self.at]
        if ahead:
            self.at = min(ahead) + past_it * SECOND

    @invariant()
    def cohorts_are_those_of_the_model(self) -> None:
        with self.store.reading() as connection:
            for data_type, purpose in KINDS:
                found = cohort(connection, COMPANY, data_type, purpose, self.at)
                active = [client for client in "ab" if self._now((client, data_type, purpose))[0] == "active"]
                assert found == [self.prefix + client for client in active]
                assert consents.any_active(connection, COMPANY, data_type, purpose, self.at) == bool(found)

    @invariant()
    def states_are_those_of_the_model(self) -> None:
        with self.store.writing() as connection:
            found = {
                (client, record.data_type, record.purpose): (record.state, record.valid_until)
                for client in "ab"
                for record in consents.of_client(connection, self.prefix + client, self.at)
            }
        assert found == {key: self._now(key) for key in self.model}

    @invariant()
    def history_only_grows_and_allows_these_lives_only(self) -> None:
        mine = RECORDS.c.client_code.in_([self.prefix + client for client in "ab"])
        joined = select(EVENTS.c.record_id, EVENTS.c.state, EVENTS.c.at).join(RECORDS).where(mine)
        lives: dict[str, tuple[str, ...]] = {}
        with self.store.reading() as connection:
            for record_id, state, _ in sorted(connection.execute(joined), key=lambda row: (row.at, _age(row.state))):
                lives[record_id] = (*lives.get(record_id, ()), state)
        assert set(lives.values()) <= ALLOWED
        for record_id, before in self.lives.items():
            assert lives[record_id][: len(before)] == before
        self.lives = lives

    def teardown(self) -> None:
        """The next walk finds empty cohorts."""
        with self.store.writing() as connection:
            for client in "ab":
                revoke_as_it_is(connection, self.prefix + client, COMPANY, CLIENT, self.at)

    def _now(self, key: tuple[str, str, str]) -> tuple[str, datetime]:
        state, until = self.model.get(key, ("none", self.at))
        if until <= self.at:
            state = {"active": "expired", "requested": "rejected"}.get(state, state)
        return state, until

    def _year_on(self) -> datetime:
        try:
            return self.at.replace(year=self.at.year + 1)
        except ValueError:
            return self.at.replace(year=self.at.year + 1, day=28)


def _age(state: str) -> int:
    return {"requested": 0, "active": 1}.get(state, 2)


@pytest.fixture(scope="module", autouse=True)
def walked_store() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        Walk.store = open_store(Settings(var=Path(folder)))
        yield
        Walk.store.close()


def _walk(walks: int, **more: Any) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    chosen = settings(max_examples=walks, stateful_step_count=STEPS, deadline=None, suppress_health_check=checks, **more)
    run_state_machine_as_test(Walk, settings=chosen)


def test_p04_every_walk_equals_the_model() -> None:
    _walk(WALKS)


def _cache_consenting(patch: pytest.MonkeyPatch, key: Callable[..., tuple[Any, ...]]) -> dict[tuple[Any, ...], list[str]]:
    """Whoever consents is looked up once for each `key` of what is asked; returns what is remembered."""
    known: dict[tuple[Any, ...], list[str]] = {}
    consenting = releases.consenting

    def cached(*asked: Any) -> ColumnElement[bool]:
        if key(*asked) not in known:
            with Walk.store.reading() as connection:
                known[key(*asked)] = list(connection.scalars(select(RECORDS.c.record_id).where(consenting(*asked))))
        return RECORDS.c.record_id.in_(known[key(*asked)])

    patch.setattr(Walk, "begun", staticmethod(known.clear))
    patch.setattr(releases, "consenting", cached)
    return known


def _stale_cache_on_revoke(patch: pytest.MonkeyPatch) -> None:
    known, grant = _cache_consenting(patch, lambda *asked: asked), consents.grant

    def forgetting(*arguments: Any, **more: Any) -> list[str]:
        known.clear()
        return grant(*arguments, **more)

    patch.setattr(consents, "grant", forgetting)


def _stale_cache_on_expiry(patch: pytest.MonkeyPatch) -> None:
    known = _cache_consenting(patch, lambda *asked: asked[:-1])

    def forgetting(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **more: Any) -> Any:
            known.clear()
            return change(*arguments, **more)

        return changed

    for name in ("grant", "request", "revoke"):
        patch.setattr(consents, name, forgetting(getattr(consents, name)))


def _off_by_one_expiry(patch: pytest.MonkeyPatch) -> None:
    consenting = releases.consenting

    def one_second_longer(company: str, data_type: str, purpose: str, at: datetime) -> ColumnElement[bool]:
        kind = and_(RECORDS.c.company == company, RECORDS.c.data_type == data_type, RECORDS.c.purpose == purpose)
        begun = exists().where(EVENTS.c.record_id == RECORDS.c.record_id, EVENTS.c.state == "active")
        ending = and_(kind, RECORDS.c.valid_until == at, begun, not_(has_ended()))
        return or_(consenting(company, data_type, purpose, at), ending)

    patch.setattr(releases, "consenting", one_second_longer)


def _revoke_of_the_latest_grant_only(patch: pytest.MonkeyPatch) -> None:
    revoke, of_client = consents.revoke, consents.of_client

    def latest(connection: Any, client: str, company: str, actor: Actor, at: datetime, *chosen: Any) -> int:
        active = [record for record in of_client(connection, client, at, company) if record.state == "active"]
        newest = max(active, key=lambda record: record.created_at, default=None)
        return revoke(connection, client, company, actor, at, [newest.data_type], newest.purpose) if newest else 0

    patch.setattr(consents, "revoke", latest)


@pytest.mark.parametrize(
    "fault", [_stale_cache_on_revoke, _stale_cache_on_expiry, _off_by_one_expiry, _revoke_of_the_latest_grant_only]
)
def test_p04_the_walks_find_a_seeded_fault(fault: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        _walk(
            500, derandomize=True, database=None, phases=[Phase.generate], verbosity=Verbosity.quiet, report_multiple_bugs=False
        )


def test_p04_a_final_state_is_left_by_nothing() -> None:
    for state in FINAL:
        for after in TRANSITIONS:
            if after is not None:
                with pytest.raises(ForbiddenTransition):
                    require_transition(state, after)


def test_p04_the_table_of_transitions_allows_the_lives_of_the_contract_only() -> None:
    lives, unfinished = set(), [()]
    while unfinished:
        life = unfinished.pop()
        for after in TRANSITIONS[life[-1] if life else None]:
            lives.add((*life, after))
            unfinished.append((*life, after))
    assert lives == ALLOWED
