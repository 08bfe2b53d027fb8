"""Is our search as good as the best automatic tool in the same time? `make bench-training`, or `python -m bench.training`.

Three tables, three seeds, 60 seconds each, every method on all cores in turn: our search, FLAML (best model; ensemble), and
LightGBM, XGBoost and CatBoost as they come. All learn from the same rows and columns, with native categories, and are judged on
rows that none has seen. `--seeds 1 --seconds 20 --only adult` is a quick look. FLAML has to be installed beside the locked
packages (`pip install flaml`); the data are looked for in OPORA_REAL_DATA, or in `shared/data` beside this folder.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bench import handbook
from bench.contests import CONTESTS, LABEL, Contest, handbook_week
from bench.ours import fit_best
from bench.overhead import overhead
from bench.rivals import RIVALS, SINGLE_DEFAULTS, Method
from training.task import TrainingTask

OURS = "Opora"
ALL_DAYS = "Opora, all days since 2018-05-15"
MARGIN = 0.002
"""By how much ROC-AUC we may be below the best single default."""
PUBLISHED = {"ROC-AUC": 0.871, "AP": 0.658, "CP@100": 0.291}
"""The best published figure of each kind for the handbook's week (its chapter 3)."""

PROMISED = {OURS: (0.895, 0.71, 0.30), ALL_DAYS: (0.895, 0.74, 0.31)}
"""Least figures on the handbook's week by training window, in the order of `PUBLISHED`."""


@dataclass(frozen=True)
class Run:
    """One method on one table with one seed: figures of merit by title, and the seconds of learning and predicting."""

    method: str
    contest: str
    seed: int
    figures: Mapping[str, float]
    seconds: float


def ours(contest: Contest, seconds: float, seed: int) -> np.ndarray:
    """Our search and blend, refitted on all train rows."""
    task = TrainingTask(contest.name, (LABEL,), "binary", "roc_auc", contest.features)
    return fit_best(task, contest.train, seconds, seed)(contest.test)[LABEL]


METHODS: Mapping[str, Method] = {OURS: ours, **RIVALS}


def main() -> None:
    """Run every method on every table with every seed; print one table, what was promised, and the overhead."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--only", choices=list(CONTESTS))
    arguments = parser.parse_args()
    folder = _data()
    names = [arguments.only] if arguments.only else list(CONTESTS)
    runs = [
        run(method, contest, arguments.seconds, seed)
        for seed in range(1, arguments.seeds + 1)
        for contest in (CONTESTS[name](folder, seed) for name in names)
        for method in METHODS
    ]
    if "handbook" in names:
        longer = handbook_week(folder, 0, handbook.ALL_DAYS_SINCE)
        runs += [run(OURS, longer, arguments.seconds, seed, ALL_DAYS) for seed in range(1, arguments.seeds + 1)]
    print_table(runs, names)
    print_claims(runs)
    with tempfile.TemporaryDirectory() as scratch:
        print(overhead(folder / "adult-train.csv", arguments.seeds, Path(scratch)))


def _data() -> Path:
    folder = Path(os.environ.get("OPORA_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        raise SystemExit(f"no {folder}: set OPORA_REAL_DATA to the folder with adult-train.csv, bank_marketing.csv, …")
    return folder


def run(method: str, contest: Contest, seconds: float, seed: int, printed_as: str | None = None) -> Run:
    """One method on one table with one seed."""
    started = time.perf_counter()
    probabilities = METHODS[method](contest, seconds, seed)
    elapsed = time.perf_counter() - started
    figures = {title: score(contest.test, probabilities) for title, score in contest.scores.items()}
    shown = ", ".join(f"{title} {figure:.4f}" for title, figure in figures.items())
    print(f"seed {seed}, {contest.name}: {printed_as or method}: {shown}, {elapsed:.0f} s", file=sys.stderr, flush=True)
    return Run(printed_as or method, contest.name, seed, figures, elapsed)


def _frame(runs: Sequence[Run]) -> pd.DataFrame:
    rows = [
        {"method": r.method, "contest": r.contest, "seed": r.seed, "seconds": r.seconds, "figure": title, "value": value}
        for r in runs
        for title, value in r.figures.items()
    ]
    return pd.DataFrame(rows)


def mean_ranks(runs: Sequence[Run]) -> pd.Series:
    """Rank by ROC-AUC (1 = best, ties share) among the methods of each table and seed, averaged; by method."""
    frame = _frame([r for r in runs if r.method in METHODS])
    frame = frame[frame["figure"] == "ROC-AUC"]
    ranks = frame.groupby(["contest", "seed"])["value"].rank(ascending=False)
    return ranks.groupby(frame["method"]).mean()


def print_table(runs: Sequence[Run], names: Sequence[str]) -> None:
    """One row per method: figures by table, seconds and rank, each the mean over seeds (and tables)."""
    frame = _frame(runs)
    means = frame.groupby(["method", "contest", "figure"])["value"].mean()
    seconds = frame.drop_duplicates(["method", "contest", "seed"]).groupby("method")["seconds"]
    ranks = mean_ranks(runs)
    columns = [(name, "ROC-AUC") for name in names] + [("handbook", extra) for extra in ("AP", "CP@100") if "handbook" in names]
    titles = [f"{name} {figure}" for name, figure in columns]
    print(f"| method | {' | '.join(titles)} | seconds (most) | mean rank |\n| --- |{' ---: |' * (len(columns) + 2)}")
    for method in dict.fromkeys(frame["method"]):
        figures = " | ".join(_cell(means.get((method, *column)), 4) for column in columns)
        time_taken = f"{seconds.get_group(method).mean():.1f} ({seconds.get_group(method).max():.1f})"
        print(f"| {method} | {figures} | {time_taken} | {_cell(ranks.get(method), 2)} |")
    if "handbook" in names:
        published = " | ".join(_cell(PUBLISHED[figure] if name == "handbook" else None, 3) for name, figure in columns)
        print(f"| best published | {published} | – | – |")


def _cell(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def print_claims(runs: Sequence[Run]) -> None:
    """The promises: first by mean rank, and never below the best single default by more than `MARGIN`."""
    ranks = mean_ranks(runs)
    first = ranks[OURS] < ranks.drop(OURS).min()
    print(f"\nMean rank first: {_verdict(first)} ({OURS} {ranks[OURS]:.2f}, next {ranks.drop(OURS).min():.2f}).")
    frame = _frame(runs)
    means = frame[frame["figure"] == "ROC-AUC"].groupby(["contest", "method"])["value"].mean().unstack()
    lead = means[OURS] - means[list(SINGLE_DEFAULTS)].max(axis=1)
    shown = ", ".join(f"{name} {value:+.4f}" for name, value in lead.items())
    print(f"Never below the best single default by more than {MARGIN} ROC-AUC: {_verdict(lead.min() >= -MARGIN)} ({shown}).")
    handbook_figures = frame[frame["contest"] == "handbook"].groupby(["method", "figure"])["value"].mean()
    for method, least in PROMISED.items() if len(handbook_figures) else ():
        reached = [handbook_figures[method, figure] for figure in PUBLISHED]
        pairs = zip(PUBLISHED, reached, least, strict=True)
        shown = ", ".join(f"{figure} {value:.4f} of {bound}: {_verdict(value >= bound)}" for figure, value, bound in pairs)
        print(f"Handbook's week, {method}: {shown}.")


def _verdict(kept: bool) -> str:
    return "yes" if kept else "NO"


if __name__ == "__main__":
    main()
