"""Do estimates of the income model's error hold what is realised? `python -m bench.estimates`.

Trains on a simulated bank of 4,000 clients, then draws windows of other clients of that bank: of 100 to 3,000 scores, shifted
towards the rich or the poor. The WMAE of each is estimated without its labels, learned from the labelled sample of the holdout or
from labelled scores of earlier months (of other clients), and compared with the realised one.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from features.lake import open_lake
from features.tables import TABLES
from monitoring.amounts import expected_error
from monitoring.error_model import Amounts
from monitoring.estimation import Estimated
from monitoring.learned import reference_amounts
from registry.encoding import encode
from registry.scorer import Scorer
from settings import Settings
from simulator import SimulationConfig, simulate
from training.candidates import Budget
from training.fit import train
from training.use_cases import training_frame, training_task

SIZES = (100, 300, 1000, 3000)
LABELLED = (300, 2000)
SEED = 71


def main() -> None:
    """Simulate, train, judge the windows, print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=200, help="of each line")
    parser.add_argument("--clients", type=int, default=16_000, help="that windows are drawn from")
    parser.add_argument("--folder", type=Path, help="keeps bank and model for another run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        scorer, pool = _prepared(arguments.folder or Path(scratch), arguments.clients)
    holdout = reference_amounts(scorer)
    assert holdout is not None
    newest = pool.months.max()
    print("| learned from | window | windows | held | of them above | median width | median estimate |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    _line("the holdout's sample", "the newest month", pool.months == newest, pool, arguments.windows, lambda _rng: holdout)
    for month in (newest, newest - 1):
        before = pool.months < month
        for count in LABELLED:
            title = f"{count:,} labelled scores of the {len(np.unique(pool.months[before]))} months before"
            known = _learner(pool, before, count)
            _line(title, f"month {month}", pool.months == month, pool, arguments.windows, known)


def _learner(pool: Amounts, before: np.ndarray, count: int) -> Callable[[np.random.Generator], Amounts]:
    return lambda rng: pool.take(_drawn(pool, before, count, 0.0, rng))


def _line(
    title: str, window: str, month: np.ndarray, pool: Amounts, windows: int, learn: Callable[[np.random.Generator], Amounts]
) -> None:
    """Judge the windows of one month; width and estimate are shares of the realised WMAE."""
    judged = []
    for seed in range(windows):
        rng = np.random.default_rng([SEED, seed])
        known = learn(rng)
        apart = month & ~np.isin(pool.clients, known.clients) if title != "the holdout's sample" else month
        rows = pool.take(_drawn(pool, apart, int(rng.choice(SIZES)), rng.uniform(-1, 1), rng))
        found = expected_error("wmae", known, rows, seed)
        if isinstance(found, Estimated):
            judged.append(np.array([found.low, found.value, found.high]) / rows.errors.mean())
    low, value, high = np.transpose(judged)
    held, above = np.mean((low <= 1) & (high >= 1)), int(np.sum(high < 1))
    width = np.median(high - low)
    counted = f"{len(judged)} of {windows}"
    print(f"| {title} | {window} | {counted} | {held:.1%} | {above} | {width:.2f} | {np.median(value):.3f} |", flush=True)


def _drawn(pool: Amounts, among: np.ndarray, count: int, tilt: float, rng: np.random.Generator) -> np.ndarray:
    """Positions of about `count` of the rows `among`, whole clients; a positive tilt prefers those of high predictions."""
    member, clients = pool.units
    level = np.argsort(np.argsort(np.bincount(member, pool.predictions) / np.bincount(member))) / clients
    keys = rng.exponential(size=clients) / np.exp(tilt * level)
    rows = np.flatnonzero(among)
    return np.sort(rows[np.argsort(keys[member[rows]], kind="stable")][:count])


def _prepared(folder: Path, clients: int) -> tuple[Scorer, Amounts]:
    """The model, trained once, and rows of clients it never saw, in order of time."""
    learned, target = _rows(Settings(var=folder / "training"), 4000), folder / "scorer"
    if not target.exists():
        target.mkdir(parents=True)
        train(training_task("income", {}), learned, target, Budget(4, 60), 1, lambda _share, _sentence: None)
    scorer = Scorer.load(target)
    rows = _rows(Settings(var=folder / "windows"), clients)
    rows = rows[~rows["client_code"].isin(set(learned["client_code"]))].sort_values("as_of")
    low, high = scorer.interval("income", rows)
    predictions, labels = scorer.predict(rows)["income"], rows["income"].to_numpy()
    numbers, months = pd.factorize(rows["client_code"])[0], rows["as_of"].dt.month.to_numpy()
    return scorer, Amounts(encode(rows, scorer.columns_), predictions, low, high, labels, numbers, months)


def _rows(config: Settings, clients: int) -> pd.DataFrame:
    """Features and verified incomes of the simulated bank."""
    raw, lake = config.var / "raw", open_lake(config)
    if not raw.exists():
        simulate(SimulationConfig(clients=clients, seed=SEED), raw)
        for table in (table for table in TABLES if (raw / table).is_dir()):
            for file in sorted((raw / table).iterdir()):
                lake.ingest(TABLES[table], file)
    return training_frame("income", lake, lake.versions())


if __name__ == "__main__":
    main()
