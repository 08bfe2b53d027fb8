"""A bank's own tables are never mixed with simulated ones, and its clients never get a consent that they did not give."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

import settings as settings_module
from features.lake import open_lake
from features.tables import TRANSACTIONS
from flows.pipeline import make_bank

PURCHASES = "date,category,amount,currency,client_code\n2026-10-05,Такси,1200,KZT,77\n"


@pytest.fixture
def var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("OPORA_VAR", str(tmp_path))
    monkeypatch.setattr("flows.pipeline.get_run_logger", lambda: logging.getLogger("test"))
    settings_module.settings.cache_clear()
    yield tmp_path
    settings_module.settings.cache_clear()


def test_ingested_tables_of_ones_own_keep_the_simulator_away(var: Path) -> None:
    file = var / "purchases.csv"
    file.write_text(PURCHASES, encoding="utf-8")
    open_lake(settings_module.settings()).ingest(TRANSACTIONS, file)
    assert make_bank.fn(200, var / "raw") is False
    assert not (var / "raw").exists()


def test_part_files_of_ones_own_keep_the_simulator_away(var: Path) -> None:
    (var / "raw" / "transactions").mkdir(parents=True)
    assert make_bank.fn(200, var / "raw") is False
    assert not (var / "raw" / "bank.json").exists()


def test_where_there_is_nothing_a_bank_is_simulated_once(var: Path) -> None:
    assert make_bank.fn(200, var / "raw") is True
    first = (var / "raw" / "bank.json").read_bytes()
    assert make_bank.fn(200, var / "raw") is True
    assert (var / "raw" / "bank.json").read_bytes() == first
