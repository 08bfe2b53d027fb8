"""Do estimates of the fraud model's PR-AUC hold what is true? `python -m bench.fraud_estimates`.

Makes banks in which nothing is shifted, trains the first champion of each as the scenarios do, and scores the payments of the 60
days after that without services. At the end of each day the PR-AUC of the last 30 days is estimated from the labelled samples
that are stored with the version, and compared with what only the simulator knows. Days of a bank share their version and its
samples, and their windows overlap: count banks rather than days.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from clock import tell
from features.lake import open_lake
from features.sets import FEATURE_SETS
from monitoring.as_served import without
from monitoring.estimation import Estimated, Rows, expected_metric
from monitoring.learned import stored_rows, without_calendar
from registry.encoding import encode
from registry.metrics import METRICS
from registry.scorer import Scorer
from scenarios.__main__ import environment
from scenarios.bank import Bank, of_day
from scenarios.catalogue import BEGIN, SCENARIOS
from scenarios.run import midnight
from settings import settings
from training.candidates import Budget
from training.fit import train
from training.use_cases import USE_CASES, training_frame, training_task

BANKS = {
    20260101: 5000, 7: 2000, 8: 2000, 3: 2000, 11: 3000, 12: 3000, 13: 3000, 14: 3000, 15: 5000, 16: 5000,
    21: 2000, 22: 3000, 23: 4000, 24: 5000, 25: 2000, 26: 3000, 27: 4000, 28: 5000,
}  # fmt: skip
"""Seed → clients."""
WINDOW = timedelta(days=30)
MOST = 10_000
METRIC = "pr_auc"


def main() -> None:
    """Live through each bank, print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=2, help="so many days are between two estimates")
    parser.add_argument("--seeds", type=int, nargs="*", choices=BANKS, default=list(BANKS), help="banks to live through")
    asked = parser.parse_args()
    print("| seed | clients | true PR-AUC | estimates | held | truth below | truth above | of 29 days held | median width |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    parts = []
    for seed in asked.seeds:
        with tempfile.TemporaryDirectory() as folder:
            os.environ.update(environment(Path(folder), seed))
            settings.cache_clear()
            judged = _judged(*_lived(seed, Path(folder)), seed, asked.every)
        parts.append(judged)
        print(f"| {seed} | {BANKS[seed]:,} {_line(judged)}", flush=True)
    print(f"| all | {_line(pd.concat(parts))}")


def _lived(seed: int, folder: Path) -> tuple[Scorer, pd.DataFrame]:
    """The first champion and the features of the payments of the days after it, with what they truly were in `truth`."""
    config, scenario = settings(), replace(SCENARIOS["none"], clients=BANKS[seed])
    tell(folder / "clock", midnight(BEGIN))
    bank, lake = Bank(scenario, config), open_lake(config)
    bank.begin()
    versions = lake.versions()
    target, budget = folder / "scorer", Budget(config.retraining_trials, config.retraining_seconds)
    target.mkdir()
    frame, task = training_frame("fraud", lake, versions), training_task("fraud", versions)
    train(task, frame, target, budget, seed, lambda _share, _sentence: None, USE_CASES["fraud"].thresholds)
    for number in range(scenario.days):
        tables = bank.live(BEGIN + timedelta(days=number))
    last = BEGIN + timedelta(days=scenario.days - 1)
    made = of_day(tables["payments"], "ts", last, back=scenario.days - 1)
    spine = made.mutate(as_of=made.ts, amount=made.amount.cast("float64"))
    rows = FEATURE_SETS["fraud"].features(tables, spine).to_pandas().sort_values(["ts", "transaction_id"], ignore_index=True)
    known = bank.exports.truth("payments").to_pandas().set_index("transaction_id")["style"] != "none"
    absent = dict.fromkeys(task.sometimes_absent, np.nan)
    return Scorer.load(target), rows.assign(truth=rows["transaction_id"].map(known).astype(bool), **absent)


def _judged(scorer: Scorer, payments: pd.DataFrame, seed: int, every: int) -> pd.DataFrame:
    """An estimate a row: its day, bounds, and the truth."""
    served = without(scorer, list(scorer.metadata["sometimes_absent"]), 1.0, seed)
    known = stored_rows(served)
    assert known is not None
    known = without_calendar("fraud", served, known)
    payments = payments.assign(prediction=scorer.predict(payments)["fraud"])
    found = []
    for number in range(0, SCENARIOS["none"].days, every):
        until = pd.Timestamp(BEGIN) + timedelta(days=number + 1)
        window = payments[(payments["ts"] >= until - WINDOW) & (payments["ts"] < until)]
        estimate = expected_metric(METRICS[METRIC], METRIC, known, _window(served, window, seed), seed)
        if isinstance(estimate, Estimated) and window["truth"].any():
            truth = METRICS[METRIC].score(window["truth"].to_numpy(), window["prediction"].to_numpy(), np.ones(len(window)))
            found.append((number, estimate.low, estimate.high, truth))
    return pd.DataFrame(found, columns=["day", "low", "high", "truth"])


def _window(scorer: Scorer, payments: pd.DataFrame, seed: int) -> Rows:
    asked = payments.sample(min(MOST, len(payments)), random_state=seed).sort_index()
    clients = np.asarray(pd.factorize(asked["client_code"])[0])
    rows = Rows(encode(asked, scorer.columns_), {"fraud": asked["prediction"].to_numpy()}, {}, clients)
    return without_calendar("fraud", scorer, rows)


def _line(judged: pd.DataFrame) -> str:
    below, above = judged["truth"] < judged["low"], judged["truth"] > judged["high"]
    cells: Sequence[str] = ["-"] * 7
    if len(judged):
        held = ~(below | above)
        cells = [
            f"{judged['truth'].min():.3f} to {judged['truth'].max():.3f}", str(len(judged)), f"{held.mean():.0%}",
            str(int(below.sum())), str(int(above.sum())), f"{held[judged['day'] < 29].mean():.0%}",
            f"{(judged['high'] - judged['low']).median():.2f}",
        ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
