"""Promises of consents: states, expiry to the second, renewal, withdrawal, and many at once."""

import threading
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select

from consent_api import consents
from consent_api.audit import Actor
from consent_api.consents import Grant
from consent_api.record.validity import ExpiryOutOfRange, latest_expiry
from consent_api.store import Store
from consent_api.tables import EVENTS, RECORDS
from tests.consent_api.cohorts import cohort

ACTOR = Actor("test", "test")
AT = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
KIND = ("dala-market", "category_spending", "market_statistics")


def give(store: Store, client: str, at: datetime = AT, until: datetime | None = None) -> str:
    with store.writing() as connection:
        return consents.grant(connection, [Grant(client, *KIND, until)], ACTOR, at)[0]


def withdraw(store: Store, client: str, at: datetime = AT) -> int:
    with store.writing() as connection:
        return consents.revoke(connection, client, KIND[0], ACTOR, at)


def active(store: Store, at: datetime = AT) -> list[str]:
    with store.reading() as connection:
        return cohort(connection, *KIND, at)


def history(store: Store, record_id: str) -> list[str]:
    with store.reading() as connection:
        rows = connection.execute(select(EVENTS.c.state).where(EVENTS.c.record_id == record_id).order_by(EVENTS.c.at))
        return [state for (state,) in rows]


def states(store: Store, client: str, at: datetime = AT) -> list[str]:
    with store.writing() as connection:
        return [record.state for record in consents.of_client(connection, client, at)]


def test_p04_a_consent_is_active_until_it_is_withdrawn(store: Store) -> None:
    record = give(store, "1")
    assert active(store) == ["1"]
    assert withdraw(store, "1", AT + timedelta(seconds=1)) == 1
    assert active(store) == []
    assert withdraw(store, "1", AT + timedelta(seconds=2)) == 0
    assert sorted(history(store, record)) == ["active", "revoked"]


def test_p04_renewal_is_a_new_record_that_ends_the_old_and_is_linked_to_it(store: Store) -> None:
    first = give(store, "1")
    second = give(store, "1", AT + timedelta(days=1))
    assert sorted(history(store, first)) == ["active", "superseded"]
    with store.writing() as connection:
        (record,) = consents.of_client(connection, "1", AT + timedelta(days=1))
    assert (record.record_id, record.previous_record_id, record.number, record.state) == (second, first, 2, "active")
    assert active(store, AT + timedelta(days=1)) == ["1"]


def test_p04_a_withdrawn_consent_can_be_given_again_and_its_history_stays(store: Store) -> None:
    first = give(store, "1")
    withdraw(store, "1")
    second = give(store, "1")
    assert sorted(history(store, first)) == ["active", "revoked"]
    assert history(store, second) == ["active"]


@pytest.mark.parametrize(("second", "counted"), [(-1, ["1"]), (0, []), (1, [])])
def test_p19_a_consent_ends_exactly_at_its_last_second(store: Store, second: int, counted: list[str]) -> None:
    until = datetime(2027, 3, 1, 0, 0, 0, tzinfo=UTC)
    give(store, "1", until=until)
    moment = until + timedelta(seconds=second)
    assert active(store, moment) == counted
    assert states(store, "1", moment) == (["active"] if counted else ["expired"])


def test_p19_expiry_becomes_part_of_the_history_at_the_moment_it_happened(store: Store) -> None:
    record = give(store, "1", until=AT + timedelta(hours=1))
    states(store, "1", AT + timedelta(days=30))
    with store.reading() as connection:
        ended = connection.scalar(select(EVENTS.c.at).where(EVENTS.c.record_id == record, EVENTS.c.state == "expired"))
    assert ended == AT + timedelta(hours=1)


@pytest.mark.parametrize(
    ("given_at", "last"),
    [
        (datetime(2026, 11, 21, 12, 0, 5, 999999, tzinfo=UTC), datetime(2027, 11, 21, 12, 0, 5, tzinfo=UTC)),
        (datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC), datetime(2029, 2, 28, 23, 59, 59, tzinfo=UTC)),
        (datetime(2027, 2, 28, 0, 0, 0, tzinfo=UTC), datetime(2028, 2, 28, 0, 0, 0, tzinfo=UTC)),
        (datetime(2027, 1, 1, 4, 0, tzinfo=UTC).astimezone(), datetime(2028, 1, 1, 4, 0, tzinfo=UTC)),
    ],
)
def test_p19_twelve_months_are_counted_in_utc_and_leap_days_end_on_the_28th(given_at: datetime, last: datetime) -> None:
    assert latest_expiry(given_at) == last


@pytest.mark.parametrize(("fold", "hour"), [(0, 0), (1, 1)])
def test_p19_twelve_months_begin_in_the_right_one_of_two_equal_hours(fold: int, hour: int) -> None:
    """When clocks are set back 02:30 comes twice; a year later it may come once, or on another day."""
    given_at = datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=BERLIN)
    assert latest_expiry(given_at) == datetime(2027, 10, 25, hour, 30, tzinfo=UTC)


@pytest.mark.parametrize("fold", [0, 1])
def test_p19_a_consent_ends_in_the_right_one_of_two_equal_hours(store: Store, fold: int) -> None:
    until = datetime(2027, 10, 31, 2, 30, fold=fold, tzinfo=BERLIN)
    give(store, "1", until=until)
    moments = [datetime(2027, 10, 31, hour, 30, tzinfo=UTC) - timedelta(seconds=1) for hour in (0, 1, 2)]
    assert [active(store, moment) == ["1"] for moment in moments] == [True, fold == 1, False]


def test_p19_an_hour_that_clocks_skip_shortens_nothing(store: Store) -> None:
    """From 12:00 to 12:00 on the day clocks go forward are 23 hours, and all of them count."""
    until = datetime(2027, 3, 28, 12, 0, tzinfo=BERLIN)
    give(store, "1", datetime(2027, 3, 27, 12, 0, tzinfo=BERLIN), until)
    ends = datetime(2027, 3, 28, 10, 0, tzinfo=UTC)
    assert [active(store, ends + timedelta(seconds=second)) for second in (-1, 0)] == [["1"], []]


@pytest.mark.parametrize(
    ("day", "last"), [((2028, 2, 29), (2029, 2, 28)), ((2027, 3, 1), (2028, 3, 1)), ((2027, 2, 28), (2028, 2, 28))]
)
def test_p19_a_year_over_a_leap_day_ends_on_its_last_second(store: Store, day: tuple, last: tuple) -> None:
    give(store, "1", datetime(*day, 23, 59, 59, 500_000, tzinfo=UTC))
    ends = datetime(*last, 23, 59, 59, tzinfo=UTC)
    assert [active(store, ends + timedelta(seconds=second)) for second in (-1, 0, 1)] == [["1"], [], []]


@pytest.mark.parametrize(("second", "accepted"), [(-1, True), (0, True), (1, False)])
def test_p19_no_consent_lasts_longer_than_twelve_months(store: Store, second: int, accepted: bool) -> None:
    until = latest_expiry(AT) + timedelta(seconds=second)
    if accepted:
        give(store, "1", until=until)
        assert active(store, until - timedelta(seconds=1)) == ["1"]
    else:
        with pytest.raises(ExpiryOutOfRange):
            give(store, "1", until=until)
        assert active(store) == []


@pytest.mark.parametrize("second", [-1, 0])
def test_p19_a_consent_ends_in_the_future(store: Store, second: int) -> None:
    with pytest.raises(ExpiryOutOfRange):
        give(store, "1", until=AT + timedelta(seconds=second))


def test_thousands_of_clients_are_granted_in_one_call(store: Store) -> None:
    wanted = [Grant(str(number), *KIND) for number in range(2_500)]
    with store.writing() as connection:
        assert len(consents.grant(connection, wanted, ACTOR, AT)) == 2_500
    assert active(store) == sorted(each.client_code for each in wanted)


def test_p04_two_writers_at_once_leave_one_active_record(store: Store) -> None:
    threads = [threading.Thread(target=give, args=(store, "1")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert active(store) == ["1"]
    with store.reading() as connection:
        ended = connection.scalar(select(func.count()).select_from(EVENTS).where(EVENTS.c.state == "superseded"))
        numbers = connection.scalars(select(RECORDS.c.number).order_by(RECORDS.c.number)).all()
    assert (ended, list(numbers)) == (7, list(range(1, 9)))
