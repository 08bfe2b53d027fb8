"""Ingestion of five million purchases: the lake against DuckDB's bare copy of the same CSV to Parquet, and pandas.

`python -m bench.ingestion` makes its own file (1 % of the rows spoilt), runs the three in turn in fresh processes, checks that
landed and quarantined rows add up to those in the file, and prints medians. `--rows 500000` tries it at a smaller size.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from features.categories import CATEGORIES
from features.code_lists import CURRENCIES
from features.lake import Lake
from features.tables import TRANSACTIONS
from settings import settings

ROUNDS = 3
CHUNK = 500_000
SPOILT = 0.01
SIDES = {
    "bare": "DuckDB: COPY of the CSV to Parquet, nothing checked",
    "ours": "Opora: ingest",
    "pandas": "pandas.read_csv, nothing checked",
}
FIRST = np.datetime64("2025-01-01T00:00:00")


def main() -> None:
    """Make the file, run the sides in turn, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--side", choices=sorted(SIDES))
    parser.add_argument("--file", type=Path)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(run(arguments.side, arguments.file)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "transactions.csv"
        rows = make_file(path, arguments.rows, settings().seed)
        compare(path, rows)


def make_file(path: Path, rows: int, seed: int) -> int:
    """Write `rows` purchases as an export would, and a few lines of a wrong shape between them; gives how many there are."""
    random = np.random.default_rng(seed)
    header = "date,category,amount,currency,client_code\n"
    wrong = b"2025-01-05 10:00:00,1.00\n" * 5
    written = 0
    with path.open("wb") as stream:
        stream.write(header.encode())
        for begin in range(0, rows, CHUNK):
            count = min(CHUNK, rows - begin)
            csv.write_csv(_purchases(random, count), stream, csv.WriteOptions(include_header=False, quoting_style="none"))
            stream.write(wrong)
            written += count + wrong.count(b"\n")
    return written


def _purchases(random: np.random.Generator, rows: int) -> pa.Table:
    spoilt = random.random(rows)
    cents = np.round(random.lognormal(8.5, 1, rows) * 100).astype(np.int64) + 1
    moments = FIRST + random.integers(0, 365 * 86_400, rows).astype("timedelta64[s]")
    moments[spoilt < SPOILT / 3] = np.datetime64("1970-01-01")
    categories = random.choice(np.array(list(CATEGORIES), dtype=object), rows)
    categories[(spoilt >= SPOILT / 3) & (spoilt < SPOILT * 2 / 3)] = "Прочее"
    cents[(spoilt >= SPOILT * 2 / 3) & (spoilt < SPOILT)] *= -1
    return pa.table(
        {
            "date": pc.strftime(pa.array(moments), "%Y-%m-%d %H:%M:%S"),
            "category": pa.array(categories, pa.string()),
            "amount": pc.cast(pa.array(cents / 100), pa.string()),
            "currency": pa.array(
                random.choice(np.array(CURRENCIES, dtype=object), rows, p=[0.85, 0.06, 0.05, 0.04]), pa.string()
            ),
            "client_code": pc.cast(pa.array(random.integers(0, rows // 20 + 1, rows)), pa.string()),
        }
    )


def compare(path: Path, rows: int) -> None:
    """Runs in turn, the sum of the rows, and the table of medians."""
    figures: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(ROUNDS):
        for side, runs in figures.items():
            command = [sys.executable, "-m", "bench.ingestion", "--side", side, "--file", str(path)]
            runs.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    for figure in figures["ours"]:
        assert figure["landed"] + figure["quarantined"] == rows, figure
    quarantined = int(figures["ours"][0]["quarantined"])
    size = path.stat().st_size / 1e6
    print(f"{rows:,} purchases, {size:.0f} MB, {quarantined:,} of them quarantined; landed + quarantined = read.\n")
    seconds = {side: statistics.median(run["seconds"] for run in runs) for side, runs in figures.items()}
    print("| from CSV | seconds (median of 3) | peak memory, GiB | speed against the bare copy |\n| --- | ---: | ---: | ---: |")
    for side, title in SIDES.items():
        peak = max(run["gib"] for run in figures[side])
        print(f"| {title} | {seconds[side]:.2f} | {peak:.2f} | {seconds['bare'] / seconds[side]:.2f} |")


def run(side: str, path: Path) -> dict[str, float]:
    """One run of one side: seconds, peak memory of the process, and for ours what became of the rows."""
    figure: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        started = time.perf_counter()
        if side == "bare":
            duckdb.execute(
                f"COPY (SELECT * FROM read_csv('{path}', ignore_errors=true)) TO '{folder}/bare.parquet' (FORMAT parquet)"
            )
        elif side == "ours":
            summary = Lake(folder).ingest(TRANSACTIONS, path)
            figure |= {"landed": summary.landed, "quarantined": sum(summary.quarantined.values())}
        else:
            pd.read_csv(path, on_bad_lines="skip")
        figure["seconds"] = time.perf_counter() - started
    return figure | {"gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


if __name__ == "__main__":
    main()
