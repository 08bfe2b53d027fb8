"""What the simulator writes: dialects, dirt, completeness and the limits of time."""

from collections.abc import Callable
from datetime import date

import pandas as pd
import pytest

from features.categories import CATEGORIES
from features.code_lists import PRODUCTS, STATUSES, TRANSFER_TYPES
from features.tables import TABLES
from simulator import SimulatedBank, SimulationConfig, simulate

Rows = Callable[[str], pd.DataFrame]


@pytest.mark.parametrize("name", TABLES)
def test_every_file_parses_in_its_dialect_and_a_few_percent_of_it_are_dirty(bank: SimulatedBank, files: Rows, name: str) -> None:
    rows = files(name)
    assert len(rows) == bank.rows[name]
    assert 0.01 < 1 - rows["_good"].mean() < 0.03
    assert (~rows["_good"]).sum() == bank.dirty[name]


def test_exports_differ_in_encoding_separator_and_spelling(bank: SimulatedBank) -> None:
    def start(name: str) -> bytes:
        return (bank.folder / name / "part-0000.csv").read_bytes()[:2_000]

    assert "Стандартный клиент" in start("clients").decode("cp1251")
    with pytest.raises(UnicodeDecodeError):
        start("clients").decode("utf-8")
    assert start("sessions").startswith(b"\xef\xbb\xbfclient_code,started_at")
    assert b"\n'2026-03-01 " in start("transfers")
    assert b".000'," in start("transfers")
    assert start("payments").startswith(b"transaction_id;client_code;")
    assert b"," in start("verified_incomes").splitlines()[1]


def test_every_public_value_occurs(clean: Rows) -> None:
    assert set(clean("transactions")["category"]) == set(CATEGORIES)
    assert set(clean("transfers")["type"]) == set(TRANSFER_TYPES)
    assert set(clean("clients")["status"]) == set(STATUSES)
    assert set(clean("product_uptake")["product"]) == set(PRODUCTS)


def test_some_values_are_missing_where_a_table_allows_it(clean: Rows) -> None:
    for name, column in (
        ("clients", "city"),
        ("clients", "avg_monthly_balance_KZT"),
        ("sessions", "os_version"),
        ("applications", "education"),
        ("applications", "jobstartdate"),
        ("applications", "bank_d"),
    ):
        assert 0 < clean(name)[column].isna().mean() < 0.6, (name, column)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("transactions", "date"),
        ("transfers", "date"),
        ("sessions", "started_at"),
        ("payments", "ts"),
        ("fraud_labels", "reported_at"),
        ("applications", "created_at"),
        ("product_uptake", "offered_at"),
        ("verified_incomes", "month"),
    ],
)
def test_nothing_happens_before_the_first_or_after_the_last_day(bank: SimulatedBank, clean: Rows, name: str, column: str) -> None:
    moments = clean(name)[column]
    assert moments.min() >= pd.Timestamp(bank.config.start)
    assert moments.max() < pd.Timestamp(bank.config.until)


def test_volumes_are_those_of_a_bank(bank: SimulatedBank) -> None:
    per_client = {name: rows / bank.config.clients for name, rows in bank.rows.items()}
    wanted = {
        "transactions": (100, 150),
        "transfers": (30, 60),
        "sessions": (55, 90),
        "payments": (20, 32),
        "fraud_labels": (19, 32),
        "applications": (0.8, 1.3),
        "product_uptake": (3.5, 5.0),
        "verified_incomes": (1.5, 4),
        "clients": (1, 1.05),
    }
    assert per_client.keys() == wanted.keys()
    for name, (low, high) in wanted.items():
        assert low < per_client[name] < high, name


def test_a_bank_may_end_in_the_middle_of_a_month(tmp_path) -> None:
    bank = simulate(SimulationConfig(clients=120, months=4, until=date(2024, 3, 17)), tmp_path / "raw")
    assert bank.config.start == date(2023, 11, 17)
    assert all(bank.rows.values())
