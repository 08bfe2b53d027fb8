"""A bank's own tables are never mixed with simulated ones, and its clients never get a consent that they did not give."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

import settings as settings_module
from features.lake import open_lake
from features.tables import TABLES, TRANSACTIONS
from flows.pipeline import PipelineRequest, make_bank, pipeline

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


CLIENTS = "client_code,name,status,age,city,avg_monthly_balance_KZT\n77,Айгерим,Студент,20,Алматы,1000\n"


@pytest.mark.integration
@pytest.mark.usefixtures("prefect_server")
def test_a_bank_that_lacks_tables_is_told_which_and_what_could_be_done_is(var: Path) -> None:
    lake = open_lake(settings_module.settings())
    purchases, clients = var / "purchases.csv", var / "clients.csv"
    # In Almaty it is tomorrow already, and a month may have ended there: its report waits until it is over.
    purchases.write_text(PURCHASES.replace("2026-10-05", "2077-10-05"), encoding="utf-8")
    clients.write_text(CLIENTS, encoding="utf-8")
    lake.ingest(TRANSACTIONS, purchases)
    refused = pipeline(PipelineRequest(trials=1, seconds=1), return_state=True)
    assert refused.is_failed()
    assert refused.message == "the lake has no table clients: ingest it first (make ingest)"
    lake.ingest(TABLES["clients"], clients)
    summary = pipeline(PipelineRequest(trials=1, seconds=1))
    assert [row["champion"] for row in summary] == ["none"] * 4
    assert "table verified_incomes is not in the lake" in summary[0]["this run"]
    for seconds, again in ((1, False), (2, True)):  # a longer search may find the champion that is missing
        summary = pipeline(PipelineRequest(trials=1, seconds=seconds))
        assert (summary[0]["this run"] != "nothing new in the lake") == again


@pytest.mark.integration
@pytest.mark.usefixtures("prefect_server")
def test_a_bank_of_another_size_is_refused_with_what_to_do(var: Path) -> None:
    make_bank.fn(200, var / "raw")
    state = pipeline(PipelineRequest(clients=300, trials=1, seconds=1), return_state=True)
    assert state.is_failed()
    assert "clients is 200, not 300" in state.message
    assert "start anew (make clean" in state.message
    assert "encountered an exception" not in state.message


@pytest.mark.integration
@pytest.mark.usefixtures("prefect_server")
def test_a_pipeline_that_a_full_disk_ended_is_not_taken_for_done(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = open_lake(settings_module.settings())
    for table, text in (("transactions", PURCHASES), ("clients", CLIENTS)):
        (var / "a.csv").write_text(text, encoding="utf-8")
        lake.ingest(TABLES[table], var / "a.csv")
    monkeypatch.setattr("flows.train.open_lake", lambda _: Path("/dev/full").write_text("no room"))
    for _ in range(2):
        state = pipeline(PipelineRequest(trials=1, seconds=1), return_state=True)
        assert state.is_failed()
        assert "no room left on the disk" in state.message
