"""What orchestration and tracking cost: the same training through the flow, and without it."""

import os
import statistics
import time
from pathlib import Path

from prefect.testing.utilities import prefect_test_harness

import settings as settings_module
from bench.contests import ADULT_COLUMNS
from flows.train_table import train_table
from training.candidates import Budget
from training.fit import train
from training.own_request import TableRequest
from training.own_scores import class_threshold
from training.own_table import read_own_table
from training.report import report

TRIALS = 24
"""Both sides fit the same configurations and so do the same work; a budget in seconds would hide what is lost in a trial."""
PROMISED = 0.05


def overhead(table: Path, seeds: int, scratch: Path) -> str:
    """Wall time of the flow against the bare calls that it makes, in turn for each seed; a sentence with the median share.

    The flow's Prefect server, its MLflow database and the imports are there before the clock starts, as where services run.

    Args:
        table: UCI Adult's train file.
        seeds: how many pairs of runs.
        scratch: an empty folder, for `var` and models.
    """
    os.environ["OPORA_VAR"] = str(scratch / "var")
    settings_module.settings.cache_clear()
    pairs: list[tuple[float, float]] = []
    with prefect_test_harness():
        train_table(_request(table, 0, trials=1))
        for seed in range(1, seeds + 1):
            bare = _seconds_bare(_request(table, seed), scratch / str(seed))
            started = time.perf_counter()
            train_table(_request(table, seed))
            pairs.append((time.perf_counter() - started, bare))
    share = statistics.median((flow - bare) / flow for flow, bare in pairs)
    shown = ", ".join(f"{flow:.1f} / {bare:.1f}" for flow, bare in pairs)
    verdict = "yes" if share <= PROMISED else "NO"
    return (
        f"Orchestration and tracking take at most {PROMISED:.0%} of wall time: {verdict} "
        f"({share:.1%}, the median of {len(pairs)}; seconds of the flow / of the same {TRIALS} trials and report alone: {shown})."
    )


def _request(table: Path, seed: int, trials: int = TRIALS) -> TableRequest:
    return TableRequest(
        name=f"overhead-{seed}",  # a new model each time: there is no champion to load and compare with
        table=str(table),
        target="income",
        kind="binary",
        metric="roc_auc",
        names=list(ADULT_COLUMNS),
        seconds=86_400,
        trials=trials,
        seed=seed,
    )


def _seconds_bare(request: TableRequest, folder: Path) -> float:
    """Reading, search, refit and report, without Prefect and MLflow."""
    started = time.perf_counter()
    (folder / "scorer").mkdir(parents=True)
    own = read_own_table(request, folder)
    budget = Budget(request.trials, request.seconds)
    trained = train(own.task, own.frame, folder / "scorer", budget, request.seed, lambda *_: None, class_threshold)
    report(trained, own.task, champion=None)
    return time.perf_counter() - started
