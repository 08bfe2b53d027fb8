"""Whatever writes at the same time or dies half-way, a file lands whole, once, or not at all."""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from features.lake import Lake
from features.raw_table import RawTable
from features.tables import PAYMENTS, TRANSACTIONS
from tests.fork_server import Forked, ForkServer

INGEST = """
import sys, time
from pathlib import Path
from features.lake import Lake
from features.tables import TABLES
lake = Lake(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for path in sys.argv[3:]:
    summary = lake.ingest(TABLES[sys.argv[2]], Path(path))
    print(summary.version, summary.landed, summary.already_ingested, flush=True)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    """Processes that have imported the lake."""
    with ForkServer("features.lake", "features.tables", "pandas") as server:
        yield server


def start(server: ForkServer, lake: Path, table: str, *files: Path) -> Forked:
    """A process that is ready to ingest `files` once a line is written to it."""
    process = server.python(INGEST, str(lake), table, *map(str, files))
    assert process.stdout.readline() == "ready\n"
    return process


def finish(*processes: Forked) -> list[list[str]]:
    """Let all processes go at once; what each printed."""
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    results = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), results
    return [output.splitlines() for output, _ in results]


def purchases(path: Path, client: str, rows: int) -> Path:
    lines = [f"2025-01-05,Такси,{index + 1}.50,KZT,{client}" for index in range(rows)] + [f"2025-01-05,Такси,-1,KZT,{client}"]
    path.write_text("date,category,amount,currency,client_code\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def payments(path: Path, first: int, last: int) -> Path:
    lines = [f"p{number};{number};2025-01-05 10:00:00;{number + 1}.00;d1" for number in range(first, last)]
    path.write_text("transaction_id;client_code;ts;amount;destination_id\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_different_files_at_once_all_land(tmp_path: Path, server: ForkServer) -> None:
    lake = tmp_path / "lake"
    groups = [[purchases(tmp_path / f"{name}{n}.csv", f"{name}{n}", 60) for n in range(4)] for name in "abc"]
    outputs = finish(*(start(server, lake, "transactions", *group) for group in groups))
    versions = sorted(int(line.split()[0]) for output in outputs for line in output)
    assert versions == list(range(12))
    table = Lake(str(lake)).read("transactions")
    counts = table.group_by("client_code").agg(rows=table.count()).to_pyarrow().to_pylist()
    assert {row["client_code"]: row["rows"] for row in counts} == {f"{name}{n}": 60 for name in "abc" for n in range(4)}
    assert Lake(str(lake)).quarantine("transactions").count().to_pyarrow().as_py() == 12


def test_the_same_file_at_once_lands_once(tmp_path: Path, server: ForkServer) -> None:
    lake = tmp_path / "lake"
    files = [purchases(tmp_path / f"{n}.csv", str(n), 60) for n in range(4)]
    outputs = finish(*(start(server, lake, "transactions", *files) for _ in range(3)))
    for lines in zip(*outputs, strict=True):
        assert len({line.split()[0] for line in lines}) == 1
        assert sorted(line.split()[2] for line in lines) == ["False", "True", "True"]
    assert Lake(str(lake)).read("transactions").count().to_pyarrow().as_py() == 240
    assert Lake(str(lake)).quarantine("transactions").count().to_pyarrow().as_py() == 4
    assert len(list((lake / "transactions").glob("*.parquet"))) == 4


def test_a_key_in_two_files_at_once_lands_once(tmp_path: Path, server: ForkServer) -> None:
    lake = tmp_path / "lake"
    files = [payments(tmp_path / f"{n}.csv", n * 100, n * 100 + 102) for n in range(3)]
    finish(*(start(server, lake, "payments", file) for file in files))
    keys = Lake(str(lake)).read("payments").transaction_id.to_pyarrow().to_pylist()
    assert sorted(keys) == sorted(f"p{number}" for number in range(302))
    repeated = Lake(str(lake)).quarantine("payments").to_pyarrow().to_pylist()
    assert {row["rule"] for row in repeated} == {"repeats an earlier file"}
    assert len(repeated) == 4


@pytest.mark.parametrize("table", [TRANSACTIONS, PAYMENTS], ids=lambda table: table.name)
def test_a_kill_at_any_moment_leaves_the_version_before_or_after(tmp_path: Path, table: RawTable, server: ForkServer) -> None:
    name, root = table.name, tmp_path / "lake"
    make = (
        purchases if table is TRANSACTIONS else lambda path, code, rows: payments(path, int(code) * rows, (int(code) + 1) * rows)
    )
    started = time.monotonic()
    finish(start(server, root, name, make(tmp_path / "first.csv", "0", 2000)))
    usual = time.monotonic() - started
    generator, landed = random.Random(7), 1
    for number in range(1, 6):
        file = make(tmp_path / f"{number}.csv", str(number), 2000)
        process = start(server, root, name, file)
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(generator.uniform(0, usual))
        process.kill()
        process.communicate()
        version = Lake(str(root)).version(name)
        assert version in (landed - 1, landed)
        _assert_whole(root, name, version + 1)
        again = Lake(str(root)).ingest(table, file)
        assert again.already_ingested == (version == landed)
        assert again.version == landed
        landed += 1
        _assert_whole(root, name, landed)


def _assert_whole(root: Path, name: str, files: int) -> None:
    lake = Lake(str(root))
    assert lake.read(name).count().to_pyarrow().as_py() == 2000 * files
    assert lake.quarantine(name).count().to_pyarrow().as_py() == (files if name == "transactions" else 0)


DIE = """
import os, sys
from pathlib import Path
from features.delta_log import DeltaLog
from features.lake import Lake
from features.tables import TRANSACTIONS
commit = DeltaLog.commit
def die(log, *arguments):
    if sys.argv[3] == "before" or log.folder.parent.name == "quarantine":
        if sys.argv[3] == "after":
            commit(log, *arguments)
        os._exit(9)
DeltaLog.commit = die
Lake(sys.argv[1]).ingest(TRANSACTIONS, Path(sys.argv[2]))
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_around_the_commit_of_the_quarantine_shows_nothing_and_can_be_repeated(
    tmp_path: Path, moment: str, server: ForkServer
) -> None:
    """The gap between the quarantine's commit and the table's is too short for a random kill to meet."""
    root, file, other = tmp_path / "lake", purchases(tmp_path / "a.csv", "a", 60), purchases(tmp_path / "b.csv", "b", 60)
    assert server.python(DIE, str(root), str(file), moment).wait() == 9
    lake = Lake(str(root))
    assert lake.versions() == {}
    assert lake.ingest(TRANSACTIONS, other).version == 0
    assert lake.quarantine("transactions").count().to_pyarrow().as_py() == 1
    assert not lake.ingest(TRANSACTIONS, file).already_ingested
    assert lake.quarantine("transactions").count().to_pyarrow().as_py() == 2
    assert lake.read("transactions").count().to_pyarrow().as_py() == 120


def test_what_crashes_left_is_removed_once_it_is_a_day_old(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    lake = Lake(str(root))
    lake.ingest(TRANSACTIONS, purchases(tmp_path / "a.csv", "a", 60))
    old, young = root / "transactions" / "part-old.parquet", root / "transactions" / "part-young.parquet"
    work = root / "_scratch" / "ingest-old"
    work.mkdir()
    for path in (old, young, work / "bad.parquet"):
        path.write_bytes(b"left")
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    os.utime(work, (yesterday, yesterday))
    lake.ingest(TRANSACTIONS, purchases(tmp_path / "b.csv", "b", 60))
    assert (old.exists(), young.exists(), work.exists()) == (False, True, False)
    assert lake.read("transactions").count().to_pyarrow().as_py() == 120
