"""Which rows a batch scores today."""

from datetime import datetime

import ibis
import pytest

from features.code_lists import PRODUCTS
from features.current import NothingIngested, current_rows, newest_full_month, newest_moment
from features.online_rows import newest_rows
from features.tables import TABLES


def tables(**rows: list[dict[str, object]]) -> dict[str, ibis.Table]:
    """Raw tables, empty but for `rows`."""
    return {name: ibis.memtable(rows.get(name, []), schema=table.schema) for name, table in TABLES.items()}


def client(code: str) -> dict[str, object]:
    return {
        "client_code": code,
        "name": "Айгерим",
        "status": "Студент",
        "age": 20,
        "city": "Алматы",
        "avg_monthly_balance_KZT": 1000,
    }


def payment(name: str, ts: str) -> dict[str, object]:
    return {
        "transaction_id": name,
        "client_code": "1",
        "ts": datetime.fromisoformat(ts),
        "amount": 500,
        "destination_id": "d",
    }


def purchase(day: str) -> dict[str, object]:
    return {"client_code": "1", "date": datetime.fromisoformat(day), "category": "Такси", "amount": 100, "currency": "KZT"}


def salary(day: str) -> dict[str, object]:
    return {
        "client_code": "1",
        "date": datetime.fromisoformat(day),
        "type": "salary_in",
        "direction": "in",
        "amount": 500_000,
        "currency": "KZT",
    }


def test_today_begins_at_the_first_midnight_after_the_newest_event() -> None:
    found = newest_moment(tables(payments=[payment("a", "2026-10-30T10:00:00"), payment("b", "2026-10-31T23:59:59")]))
    assert found == datetime(2026, 11, 1)  # noqa: DTZ001 - the lake's moments are UTC without a zone


def test_transfers_that_are_newer_than_purchases_are_no_future() -> None:
    bank = tables(clients=[client("1")], transactions=[purchase("2026-10-05")], transfers=[salary("2026-10-30")])
    assert newest_moment(bank) == datetime(2026, 10, 31)  # noqa: DTZ001
    assert newest_rows(bank, newest_moment(bank))["income"].to_pandas().salary_in_90d.tolist() == [500_000]


def test_a_month_is_full_when_its_purchases_are_there_however_new_transfers_and_payments_are() -> None:
    assert newest_full_month(tables(transactions=[purchase("2026-10-05")])["transactions"]) == "2026-09"
    assert newest_full_month(tables(transactions=[purchase("2026-10-31")])["transactions"]) == "2026-10"


def test_a_mistyped_year_does_not_move_today() -> None:
    payments = [payment(f"p{number}", "2024-10-30T10:00:00") for number in range(1000)]
    assert newest_moment(tables(payments=[*payments, payment("mistyped", "2077-10-30T10:00:00")])) == datetime(2024, 10, 31)  # noqa: DTZ001


def test_a_bank_that_lives_ahead_of_the_clock_has_a_today_of_its_own() -> None:
    payments = [payment("a", "2024-10-30T10:00:00"), payment("b", "2077-10-30T10:00:00"), payment("c", "2077-10-31T10:00:00")]
    assert newest_moment(tables(payments=payments)) == datetime(2077, 11, 1)  # noqa: DTZ001


def test_an_empty_lake_says_what_to_do() -> None:
    with pytest.raises(NothingIngested, match="ingest them first"):
        newest_moment(tables())


def test_every_client_is_offered_every_product() -> None:
    bank = tables(clients=[client("1"), client("2")], payments=[payment("a", "2026-10-30T10:00:00")])
    rows = current_rows("recommendation", bank, 7)
    assert len(rows) == 2 * len(PRODUCTS)
    assert set(rows["product"]) == set(PRODUCTS)


def test_only_the_payments_of_the_last_days_are_judged() -> None:
    bank = tables(payments=[payment("old", "2026-10-01T10:00:00"), payment("new", "2026-10-30T10:00:00")])
    assert current_rows("fraud", bank, 7)["transaction_id"].tolist() == ["new"]


def test_a_client_without_any_event_still_has_a_row() -> None:
    bank = tables(clients=[client("1")], payments=[payment("a", "2026-10-30T10:00:00")])
    rows = current_rows("income", bank, 7)
    assert rows["spend_total_90d"].tolist() == [0.0]


@pytest.mark.parametrize(
    ("use_case", "absent"),
    [("income", "clients"), ("income", "transfers"), ("recommendation", "clients"), ("prescoring", "applications")],
)
def test_a_table_that_was_never_ingested_is_named(use_case: str, absent: str) -> None:
    bank = tables(clients=[client("1")], transactions=[purchase("2026-10-05")])
    del bank[absent]
    with pytest.raises(NothingIngested, match=f"no table {absent}: ingest it first"):
        current_rows(use_case, bank, 7)
