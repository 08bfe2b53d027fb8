"""How a simulation runs: reproducible, in bounded memory, complete or absent."""

import json
import signal
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import BankInTheWay, InvalidSimulation, SimulationConfig, digest, simulate
from simulator.__main__ import main

SMALL = SimulationConfig(clients=400, chunk_clients=150, months=4)
ROOT = Path(__file__).parents[2]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    first, second = (simulate(SMALL, tmp_path / name) for name in ("first", "second"))
    other = simulate(replace(SMALL, seed=7), tmp_path / "other")
    assert first.digest == second.digest == digest(second.folder) != other.digest


def test_a_larger_bank_begins_with_the_full_chunks_of_a_smaller_one(tmp_path: Path) -> None:
    small = simulate(replace(SMALL, clients=300), tmp_path / "small").folder
    large = simulate(SMALL, tmp_path / "large").folder
    parts = sorted(path.relative_to(small) for path in small.glob("*/part-*.csv"))
    assert len(parts) == 9 * 2
    for part in parts:
        assert (small / part).read_bytes() == (large / part).read_bytes(), part
    for truth in (small / "truth").glob("*.parquet"):
        begun = pq.read_table(truth)
        assert pq.read_table(large / "truth" / truth.name).slice(0, len(begun)).equals(begun), truth.name


@given(clients=st.integers(1, 10**7), chunk_clients=st.integers(1, 50_000))
def test_chunks_divide_the_clients_without_rest(clients: int, chunk_clients: int) -> None:
    config = SimulationConfig(clients=clients, chunk_clients=chunk_clients)
    last = config.chunks - 1
    assert last * chunk_clients + config.clients_of(last) == clients
    assert 0 < config.clients_of(last) <= chunk_clients


def test_memory_does_not_grow_with_the_number_of_chunks(tmp_path: Path) -> None:
    simulate(replace(SMALL, clients=150), tmp_path / "warm")  # imports and caches are not what is measured
    few, many = (_peak(tmp_path / str(chunks), chunks) for chunks in (2, 8))
    assert many < 1.15 * few


def _peak(folder: Path, chunks: int) -> int:
    tracemalloc.start()
    try:
        simulate(replace(SMALL, clients=150 * chunks), folder)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_finished_bank_with_the_same_settings_is_reused(tmp_path: Path) -> None:
    made = simulate(SMALL, tmp_path / "raw")
    written = {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")}
    again = simulate(SMALL, tmp_path / "raw")
    assert (made.reused, again.reused) == (False, True)
    assert (made.digest, made.rows, made.dirty) == (again.digest, again.rows, again.dirty)
    assert written == {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")}


def test_a_bank_with_other_settings_is_named_and_left_alone(tmp_path: Path) -> None:
    made = simulate(SMALL, tmp_path / "raw")
    with pytest.raises(BankInTheWay, match="clients is 400, not 401"):
        simulate(replace(SMALL, clients=401), made.folder)
    assert digest(made.folder) == made.digest


def test_a_folder_that_is_no_bank_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(BankInTheWay, match="choose another folder"):
        simulate(SMALL, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_a_killed_simulation_leaves_no_half_bank_and_the_next_one_is_whole(tmp_path: Path) -> None:
    folder, unfinished = tmp_path / "raw", tmp_path / ".raw.unfinished"
    script = (
        "from pathlib import Path; from simulator import *;"
        f"simulate(SimulationConfig(clients=30_000, chunk_clients=150, months=4), Path({str(folder)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not list(unfinished.glob("clients/part-0001.csv")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(unfinished.glob("clients/part-0001.csv"))
    assert not folder.exists()
    assert simulate(SMALL, folder).digest == simulate(SMALL, tmp_path / "untroubled").digest
    assert not unfinished.exists()


def test_progress_is_told_chunk_by_chunk(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    simulate(SMALL, tmp_path / "raw", lambda done, chunks: told.append((done, chunks)))
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    "settings", [{"clients": 0}, {"months": 3}, {"seed": -1}, {"chunk_clients": 0}, {"until": date(1999, 1, 1)}]
)
def test_impossible_settings_are_refused_by_name(settings: dict) -> None:
    with pytest.raises(InvalidSimulation, match=next(iter(settings))):
        SimulationConfig(**settings)


def test_the_command_makes_a_bank_and_says_what_is_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--clients", "200", "--months", "4", "--out", str(tmp_path / "raw")]
    assert main(command) == 0
    said = capsys.readouterr()
    assert "transactions" in said.out
    assert "simulated 1 of 1 chunks" in said.err
    card = json.loads((tmp_path / "raw" / "bank.json").read_text())
    assert card["settings"]["clients"] == 200
    assert main([*command, "--seed", "5"]) == 2
    assert "seed is 20260101, not 5" in capsys.readouterr().err
