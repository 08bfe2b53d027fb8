"""What the search promises: strong configurations first, time kept, nothing lost to a kill, blends only where they win."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from clock import now
from registry.encoding import encode
from registry.metrics import METRICS
from registry.outputs import inverse_link
from training.blend import blend
from training.candidates import Budget, Candidate
from training.ensemble import Workers, rows
from training.families import FAMILIES
from training.pruning import Pruner
from training.search import Found, search
from training.split import Fold, develop, in_order, split
from training.task import Part, TrainingTask
from training.trials import LATE, FoldResult, Trials
from training.workshop import remove_abandoned_searches

PROJECT = Path(__file__).resolve().parents[2]


def clients(rows: int = 2000, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(rows, 6)), columns=list("abcdef"))
    frame["city"] = rng.choice(["Алматы", "Астана", "Шымкент", "Актау"], rows)
    odds = frame["a"] + frame["b"] * frame["c"] + (frame["city"] == "Алматы") - 0.5
    frame["yes"] = (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(float)
    frame["branch"] = rng.integers(0, 40, rows)
    frame["moment"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 10_000, rows), "min")
    return frame


TASK = TrainingTask("search", ("yes",), "binary", "roc_auc", ("a", "b", "c", "d", "e", "f", "city"))


def searched(root: Path, budget: Budget, frame: pd.DataFrame | None = None, seed: int = 7) -> Found:
    part, columns, folds = develop(TASK, in_order(TASK, clients() if frame is None else frame, seed), seed)
    return search(TASK, part, columns, folds, budget, seed, root, lambda share, sentence: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """A search of some clients from its first to its last trial; the last four are suggested from the others."""
    return searched(tmp_path_factory.mktemp("whole"), Budget(10, 600), clients(600))


def test_the_strongest_known_configuration_of_each_family_comes_first(whole: Found) -> None:
    first = [row for row in whole.leaderboard.rows if row["trial"] < len(FAMILIES)]
    assert {row["family"] for row in first} == set(FAMILIES)
    assert {row["parameters"] for row in first} == {"default"}


def test_small_tables_are_cross_validated_and_tables_with_time_keep_their_order() -> None:
    assert len(develop(TASK, clients(), 1)[2]) == 5
    timed = TrainingTask("t", ("yes",), "binary", "roc_auc", ("a",), time="moment")
    part, _, folds = develop(timed, in_order(timed, clients(), 1), 1)
    assert len(folds) == 3
    for fold in folds:
        assert part.frame["moment"].iloc[fold.train].max() <= part.frame["moment"].iloc[fold.validation].min()


@pytest.mark.parametrize("time_column", [None, "moment"])
def test_rows_of_one_group_never_lie_on_two_sides_of_a_cut(time_column: str | None) -> None:
    task = TrainingTask("t", ("yes",), "binary", "roc_auc", ("a",), group="branch", time=time_column)
    parts = split(task, clients(), seed=3)
    sides = [set(part.frame["branch"]) for part in (parts.development, parts.calibration, parts.holdout)]
    assert sum(map(len, sides)) == 40
    for fold in parts.folds:
        branch = parts.development.frame["branch"].to_numpy()
        assert not set(branch[fold.train]) & set(branch[fold.validation])


def test_the_same_search_gives_the_same_recipe_whatever_order_its_fits_end_in(whole: Found, tmp_path: Path) -> None:
    again = searched(tmp_path, Budget(10, 600), clients(600))
    assert again.recipe == whole.recipe
    assert [row["trial"] for row in again.leaderboard.rows] == [row["trial"] for row in whole.leaderboard.rows]


def test_a_budget_in_seconds_ends_the_search_in_time(tmp_path: Path) -> None:
    found = searched(tmp_path, Budget(100_000, 8), clients(6000))  # how exactly is measured in bench/; here: it ends at all
    assert 3 < len(found.leaderboard.rows) < 100_000


_KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {project!r})
import importlib.util
spec = importlib.util.spec_from_file_location("searches", {file!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print("started", flush=True)
module.searched(Path({root!r}), module.Budget(10, 600), module.clients(600))
"""


def test_a_search_killed_half_way_goes_on_and_ends_as_if_it_had_not_been(whole: Found, tmp_path: Path) -> None:
    root = tmp_path / "killed"
    code = _KILLED.format(project=str(PROJECT), file=__file__, root=str(root))
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(PROJECT)})
    deadline = time.monotonic() + 120
    while len(list(root.rglob("*-0.npz"))) < 4 and time.monotonic() < deadline:
        assert process.poll() is None, "the search ended before it could be killed: give it more trials"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = len(list(root.rglob("*-0.npz")))
    assert before >= 4
    resumed = searched(root, Budget(10, 590), clients(600))  # reading the table again took longer
    assert resumed.recipe == whole.recipe
    assert [row["trial"] for row in resumed.leaderboard.rows] == [row["trial"] for row in whole.leaderboard.rows]
    assert not list(root.rglob("*.npz")), "a finished search leaves nothing behind"


def test_a_search_that_nobody_went_on_with_is_removed_after_its_time_and_one_under_way_is_not(tmp_path: Path) -> None:
    for name in ("income-killed", "income-working", "income-fresh"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0-0.npz").write_bytes(b"margins")
        (tmp_path / f"{name}.lock").touch()
    week = time.time() - 8 * 86_400
    for name in ("income-killed", "income-working"):
        os.utime(tmp_path / name, (week, week))
    with FileLock(tmp_path / "income-working.lock"):
        remove_abandoned_searches(tmp_path, now() - timedelta(days=7))
        assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["income-fresh", "income-working"]
    assert not (tmp_path / "income-killed.lock").exists()


def test_a_lagging_trial_is_pruned_only_after_enough_others_finished() -> None:
    curves = []
    for loss in (0.3, 0.4, 0.45):
        pruner = Pruner(curves, warmup=3)
        assert not pruner.lags("yes", 2.5, loss)
        curves = [*curves, pruner.curve]
    assert Pruner(curves).lags("yes", 2.5, 0.5)
    assert not Pruner(curves).lags("yes", 2.5, 0.2)
    assert not Pruner(curves).lags("yes", 0.1, 9.9)


def two_experts(noise: float) -> tuple[Trials, tuple[Candidate, ...]]:
    """Two candidates that each know one half of the truth (`noise` 0), or one that knows all and one that knows nothing."""
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 4000))
    labels = (rng.random(4000) < 1 / (1 + np.exp(-2 * (first + second)))).astype(float)
    part = Part(pd.DataFrame({"yes": labels}), rng.normal(size=(4000, 1)).astype(np.float32), {"yes": labels}, np.ones(4000))
    fold = Fold(np.arange(1), np.arange(4000))
    columns, task = develop(TASK, clients(300), 1)[1][:1], TrainingTask("b", ("yes",), "binary", "roc_auc", ("a",))
    trials = Trials(task, part, columns, (fold,), 1, Workers(1, 1))
    margins = (first, second) if noise == 0 else (first + second, rng.normal(size=4000))
    candidates = tuple(
        Candidate(index, family, {}, (FoldResult({"yes": 10}, {"yes": values.astype(np.float32)}, 0.7, 1.0),))
        for index, (family, values) in enumerate(zip(("lightgbm", "catboost"), margins, strict=True))
    )
    return trials, candidates


def test_experts_that_complete_each_other_are_blended_about_equally() -> None:
    blending = blend(*two_experts(noise=0), "yes", seed=1)
    assert blending.gain is not None
    assert blending.gain.difference > 0.03
    assert min(blending.weights) >= 0.4
    assert sum(blending.weights) == pytest.approx(1)


def test_an_expert_is_not_blended_with_one_who_knows_nothing() -> None:
    assert blend(*two_experts(noise=1), "yes", seed=1).weights == (1.0, 0.0)


def test_monotone_constraints_hold_for_every_family() -> None:
    frame = clients(1500)
    task = TrainingTask("m", ("yes",), "binary", "roc_auc", TASK.features, monotone={"a": 1, "b": -1})
    part, columns, folds = develop(task, in_order(task, frame, 1), 1)
    trials = Trials(task, part, columns, folds, 1, Workers(1, 1))
    grid = pd.concat([frame.head(40)] * 2).reset_index(drop=True)
    for family in FAMILIES.values():
        fitted = family.refit(trials.problem, rows(task, part, "yes"), family.portfolio(trials.problem)[0], 60)
        for name, sign in (("a", 1), ("b", -1)):
            raised = grid.assign(**{name: grid[name] + 1.0})
            rise = fitted.margin(encode(raised, columns)) - fitted.margin(encode(grid, columns))
            assert (sign * rise >= -1e-6).all(), (family.name, name)


def test_the_score_of_a_candidate_is_the_metric_of_its_margins(tmp_path: Path) -> None:
    part, columns, folds = develop(TASK, in_order(TASK, clients(), 1), 1)
    trials = Trials(TASK, part, columns, folds, 1, Workers(1, 1))
    result = trials.evaluate("lightgbm", FAMILIES["lightgbm"].portfolio(trials.problem)[0], 0, lambda: np.inf)
    asked = trials.validation(0, "yes")
    expected = METRICS["roc_auc"].score(asked.labels["yes"], inverse_link("logit", result.margins["yes"]), asked.weights)
    assert result.score == pytest.approx(expected)


class Ticking:
    """A clock that goes on by a second whenever it is asked how much is left."""

    def __init__(self, seconds: float) -> None:
        self.now, self.seconds = 0.0, seconds

    def monotonic(self) -> float:
        return self.now

    def left(self) -> float:
        self.now += 1
        return self.seconds - self.now


@pytest.mark.parametrize("family", FAMILIES)
def test_the_first_output_does_not_use_up_the_time_of_the_last(monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    frame = clients(4000).assign(**{name: lambda rows: rows["yes"] for name in ("first", "second", "third")})
    task = TrainingTask("m", ("first", "second", "third"), "binary", "roc_auc", TASK.features)
    part, columns, folds = develop(task, in_order(task, frame, 1), 1)
    trials = Trials(task, part, columns, folds, 1, Workers(1, 1))
    clock = Ticking(30)
    monkeypatch.setattr("training.trials.time", clock)
    params = FAMILIES[family].portfolio(trials.problem)[0] | {"learning_rate": 0.001}  # so that it is the clock that ends it
    result = trials.evaluate(family, params, 0, clock.left)
    rounds = [result.rounds[output] for output in task.outputs]
    assert result.stopped == LATE
    assert min(rounds) >= max(rounds) / 2 > 1
