"""Drift reports over a large journal against Evidently's DataDriftPreset on the whole window: `python -m bench.monitoring`.

Fills a SQLite journal with 2,000,000 scores of 35 features through the journal itself, then makes, each in a fresh process:
our report from the journal to the filed HTML, and Evidently's preset on the same newest rows, which it is given in memory, at
growing sizes. Prints seconds, processor time, peak memory, on how many columns the verdicts agree, and how many reports on
unchanged windows flag anything. `--rows` and `--parts` try it at other sizes (for 2,000,000 rows Evidently takes ten minutes and
6 GiB); `--journal` keeps the journal for another run.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import select

from bench.monitoring_windows import CHANGED, FEATURES, PREDICTION, columns
from clock import now
from database import open_database
from features.layouts import layout_of
from identifiers import new_ids
from monitoring.batches import JournalBatch
from monitoring.drift import DriftLimits, DriftOutcome, Model, drift_report
from monitoring.journal import Journal
from monitoring.rows import JOURNAL

BATCH = 10_000
DAYS = 30
REFERENCE_ROWS = 2000
QUIET_WINDOWS = {100: 200, 1000: 200, 20_000: 60}
"""Rows of an unchanged window → how many such windows are compared."""
MODEL = Model(FEATURES, [PREDICTION])


def main() -> None:
    """Fill, run each side in a process of its own, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--parts", type=int, nargs="+", default=[10_000, 50_000, 200_000])
    parser.add_argument("--journal", type=Path)
    parser.add_argument("--side", choices=["fill", "ours", "evidently", "quiet"])
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(_measured(arguments.side, arguments.journal, arguments.rows, arguments.parts[0])))
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(arguments.journal or Path(folder), arguments.rows, arguments.parts)


def compare(folder: Path, rows: int, parts: list[int]) -> None:
    """Every measurement, as two tables."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "journal.db").exists():
        speed = rows / _run("fill", folder, rows, rows)["seconds"]
        size = (folder / "journal.db").stat().st_size / 2**30
        print(f"Journal: {rows:,} scores of {len(FEATURES)} features, {size:.2f} GiB, written at {speed:,.0f} rows/s.\n")
    print("| drift report | rows | seconds | processor seconds | peak memory, GiB | times as fast | same verdict |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for part in parts:
        ours, theirs = _run("ours", folder, rows, part), _run("evidently", folder, rows, part)
        agreed = sum(ours["verdicts"][name] == theirs["verdicts"][name] for name in FEATURES)
        times = f"{theirs['seconds'] / ours['seconds']:.1f}, by processor {theirs['cpu'] / ours['cpu']:.1f}"
        print(_line("ours, from the journal", part, ours, times, f"{agreed} of {len(FEATURES)}"))
        print(_line("DataDriftPreset", part, theirs, "", ""), flush=True)
    whole = _run("ours", folder, rows, rows)
    print(_line("ours, from the journal", rows, whole, "", ""))
    found = sum(theirs["verdicts"].values())
    print(f"\nThe preset finds {found} drifted of {len(CHANGED)} changed. HTML: {whole['html_mb']:.2f} MB.\n")
    print("| unchanged windows of | compared | with any alarm |\n| --- | ---: | ---: |")
    for count, (windows, flagged) in _run("quiet", folder, rows, rows)["windows"].items():
        print(f"| {int(count):,} rows | {windows} | {flagged} ({flagged / windows:.1%}) |")


def _line(title: str, count: int, run: dict[str, Any], times: str, agreed: str) -> str:
    return f"| {title} | {count:,} | {run['seconds']:.1f} | {run['cpu']:.1f} | {run['gib']:.2f} | {times} | {agreed} |"


def _run(side: str, folder: Path, rows: int, part: int) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "bench.monitoring",
        "--side",
        side,
        "--journal",
        str(folder),
        "--rows",
        str(rows),
        "--parts",
        str(part),
    ]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    measured: dict[str, Any] = json.loads(output.splitlines()[-1])
    return measured


def _measured(side: str, folder: Path, rows: int, part: int) -> dict[str, Any]:
    runs = {"fill": _fill, "ours": _ours, "evidently": _evidently, "quiet": _quiet}
    result = runs[side](folder, rows, part)
    return result | {"gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def _reference() -> pd.DataFrame:
    return columns(REFERENCE_ROWS, np.random.default_rng(1), changed=False)


def _fill(folder: Path, rows: int, _part: int) -> dict[str, Any]:
    """Scores over the last 30 days, oldest first; only the time of the writes counts."""
    layout, until, seconds = layout_of(tuple(FEATURES)), now(), 0.0
    with Journal(open_database(f"sqlite:///{folder / 'journal.db'}")) as journal:
        for start in range(0, rows, BATCH):
            frame = _window_rows(start, rows)
            count = len(frame)
            batch = JournalBatch(
                use_case="fraud",
                source="api",
                layout=layout,
                features=frame[FEATURES].to_numpy(),
                output="fraud",
                scores=frame[PREDICTION].tolist(),
                decisions=["low"] * count,
                client_ids=[str(number) for number in range(count)],
                score_ids=new_ids(count),
                model_version="1",
                latency_ms=1.0,
                ts=until - timedelta(days=DAYS) * (1 - start / rows),
            )
            started = time.perf_counter()
            journal.write(batch)
            seconds += time.perf_counter() - started
    return {"seconds": seconds}


def _window_rows(start: int, rows: int) -> pd.DataFrame:
    return columns(min(BATCH, rows - start), np.random.default_rng([2, start]), changed=True)


def _ours(folder: Path, rows: int, part: int) -> dict[str, Any]:
    """From the journal on disk to the filed report; importing Evidently is not counted on either side."""
    from monitoring.watch import Watched
    from monitoring.workspace import ReportWorkspace

    until, limits = now(), DriftLimits()
    url = f"sqlite:///{folder / 'journal.db'}"
    since = until - timedelta(days=DAYS + 1) if part >= rows else _oldest_of_newest(url, part)
    with tempfile.TemporaryDirectory() as var:
        started, used = time.perf_counter(), time.process_time()
        with Journal(open_database(url)) as journal:
            sample = journal.sample("fraud", "1", since, until, limits.rows, limits.seed)
        frame = sample.frame.rename(columns=lambda name: name.removeprefix("feature_"))
        outcome = drift_report(_reference(), frame, MODEL, limits, sample.total)
        filed = ReportWorkspace(Path(var)).file("fraud", "1", Watched(until, outcome, "", outcome.findings, {}))
        seconds, cpu = time.perf_counter() - started, time.process_time() - used
        assert sample.total == min(part, rows)
        assert filed.html is not None
        size = filed.html.stat().st_size / 1e6
    verdicts = {column.column: column.drifted for column in outcome.features}
    return {"seconds": seconds, "cpu": cpu, "verdicts": verdicts, "html_mb": size}


def _evidently(_folder: Path, rows: int, part: int) -> dict[str, Any]:
    """The preset as it comes, on every row of the newest part, which is in memory when the clock starts."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    current = pd.concat([_window_rows(start, rows) for start in range(rows - part, rows, BATCH)], ignore_index=True)[FEATURES]
    reference = _reference()[FEATURES]
    started, used = time.perf_counter(), time.process_time()
    snapshot = Report([DataDriftPreset()]).run(current, reference)
    seconds, cpu = time.perf_counter() - started, time.process_time() - used
    drifts = [metric for metric in snapshot.dict()["metrics"] if metric["config"]["type"].endswith(":ValueDrift")]
    verdicts = {drift["config"]["column"]: bool(drift["value"] >= drift["config"]["threshold"]) for drift in drifts}
    return {"seconds": seconds, "cpu": cpu, "verdicts": verdicts}


def _oldest_of_newest(url: str, part: int) -> datetime:
    """When the newest `part` of the rows begin: rows of a batch share a time."""
    ordered = select(JOURNAL.c.ts).order_by(JOURNAL.c.ts.desc()).offset(part - 1).limit(1)
    with open_database(url).connect() as connection:
        oldest: datetime = connection.execute(ordered).scalar_one()
    return oldest


def _quiet(_folder: Path, _rows: int, _part: int) -> dict[str, Any]:
    windows = {}
    for count, repeats in QUIET_WINDOWS.items():
        outcomes = [_unchanged(count, seed) for seed in range(repeats)]
        windows[count] = (repeats, sum(bool(one.drifted or one.predictions_drifted or one.findings) for one in outcomes))
    return {"windows": windows}


def _unchanged(count: int, seed: int) -> DriftOutcome:
    rng = np.random.default_rng([3, count, seed])
    reference, current = columns(REFERENCE_ROWS, rng, changed=False), columns(count, rng, changed=False)
    return drift_report(reference, current, MODEL, DriftLimits(seed=seed))


if __name__ == "__main__":
    main()
