"""What training promises: honest splits, reproducible models, refusal of tables that cannot be learned from."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.models import manifest_hash
from registry.scorer import Scorer
from training.families import FAMILIES, Problem, Rows
from training.fit import train
from training.intervals import conformal_half_width
from training.search import Budget, Pruner
from training.split import split
from training.task import NotTrainable, TrainingTask
from training.thresholds import ReviewCosts, approval_threshold, risk_thresholds


def table(rows: int = 900, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    amount, device = rng.lognormal(9, 1, rows), rng.choice(["ios", "android", None], rows)
    odds = 0.8 * (np.log(amount) - 9) + (device == "ios") - 0.5
    label = (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(float)
    moment = pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 10_000, rows), "min")
    other = np.where(rng.random(rows) < 0.3, np.nan, 1 - label)
    return pd.DataFrame({"amount": amount, "device": device, "yes": label, "no": other, "as_of": moment})


TASK = TrainingTask("test", ("yes", "no"), "binary", "roc_auc", ("amount", "device"), time="as_of")


def silent(_share: float, _sentence: str) -> None:
    """Progress that nobody watches."""


def test_no_row_of_a_later_part_is_older_than_a_row_of_an_earlier_part() -> None:
    parts = split(TASK, table(), seed=1)
    frames = [parts.train.frame, parts.validation.frame, parts.calibration.frame, parts.holdout.frame]
    for earlier, later in pairwise(frames):
        assert earlier["as_of"].max() <= later["as_of"].min()
    assert sum(map(len, frames)) == 900


def test_categories_are_learned_from_the_train_part_only() -> None:
    frame = table().sort_values("as_of").reset_index(drop=True)
    frame.loc[880:, "device"] = "seen only in the holdout"
    vocabulary = split(TASK, frame, seed=1).columns[1].vocabulary
    assert vocabulary is not None
    assert "seen only in the holdout" not in vocabulary


def test_half_of_what_is_learned_from_lacks_what_callers_sometimes_lack_and_no_judged_row_does() -> None:
    task = replace(TASK, sometimes_absent=("amount",))
    parts = split(task, table(), seed=1)
    assert 0.4 < parts.train.frame["amount"].isna().mean() < 0.6
    assert 0.3 < parts.validation.frame["amount"].isna().mean() < 0.7
    assert not parts.calibration.frame["amount"].isna().any()
    assert not parts.holdout.frame["amount"].isna().any()


def test_same_rows_settings_and_seed_give_the_same_bytes(tmp_path: Path) -> None:
    hashes = []
    for name in ("first", "second"):
        folder = tmp_path / name / "scorer"
        folder.mkdir(parents=True)
        train(TASK, table(), folder, Budget(4, 600), 7, silent)
        scorer = Scorer.load(folder)
        hashes.append([(folder / output.file).read_bytes() for output in scorer.outputs_])
        assert len(manifest_hash(folder)) == 64
    assert hashes[0] == hashes[1]


def test_a_row_without_one_of_its_labels_still_teaches_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "scorer"
    folder.mkdir()
    trained = train(TASK, table(), folder, Budget(3, 600), 7, silent)
    assert trained.metrics["yes_roc_auc"] > 0.6
    assert trained.metrics["no_roc_auc"] > 0.6
    assert trained.metrics["naive_roc_auc"] == pytest.approx(0.5)


def test_the_leaderboard_has_every_trial_and_each_family_first(tmp_path: Path) -> None:
    folder = tmp_path / "scorer"
    folder.mkdir()
    board = train(TASK, table(), folder, Budget(5, 600), 7, silent).leaderboard
    assert {row["trial"] for row in board.rows} == set(range(5))
    assert {row["family"] for row in board.rows if row["parameters"] == "default"} == set(FAMILIES)
    scores = [row["validation"] for row in board.rows if row["validation"] is not None]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("name", list(FAMILIES))
def test_each_family_saved_natively_scores_the_same_after_loading(name: str, tmp_path: Path) -> None:
    from registry.boosters import SUFFIXES, load_booster

    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(400, 3)).astype(np.float32)
    matrix[:, 2] = rng.integers(0, 4, 400)
    matrix[::7, :] = np.nan
    labels = (np.nan_to_num(matrix[:, 0]) + (matrix[:, 2] == 1) > 0.3).astype(float)
    data, problem = Rows(matrix, labels, np.ones(400)), Problem(True, [2], 1)
    fitted = FAMILIES[name].refit(problem, data, FAMILIES[name].defaults(), 25)
    path = tmp_path / f"model{SUFFIXES[name]}"
    fitted.save(path)
    loaded = load_booster(name, path, [2])
    np.testing.assert_allclose(loaded.margin(matrix), fitted.margin(matrix), rtol=1e-6)
    np.testing.assert_allclose(loaded.contributions(matrix).sum(axis=1), loaded.margin(matrix), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop(columns="device"), "no column device"),
        (lambda frame: frame.head(50), "at least 200"),
        (lambda frame: frame.assign(yes=1.0), "single value"),
        (lambda frame: frame.assign(yes=frame["yes"] * 2), "must be 0 or 1"),
        (lambda frame: frame.head(0), "at least 200"),
    ],
)
def test_a_table_that_cannot_be_learned_from_is_refused_with_the_reason(change, message: str, tmp_path: Path) -> None:
    with pytest.raises(NotTrainable, match=message):
        train(TASK, change(table()), tmp_path, Budget(1, 10), 1, silent)


def test_a_lagging_trial_is_pruned_only_after_enough_others_finished() -> None:
    pruner = Pruner(warmup=2)
    for loss in (0.3, 0.4):
        curve: dict[tuple[str, int], float] = {}
        assert not pruner.lags(curve, "yes", 1.0, loss)
        pruner.finished(curve)
    assert pruner.lags({}, "yes", 1.0, 0.5)
    assert not pruner.lags({}, "yes", 1.0, 0.2)
    assert not pruner.lags({}, "yes", 0.1, 9.9)


@given(st.lists(st.floats(0, 1), min_size=30, max_size=200), st.integers(0, 2**31))
def test_risk_thresholds_are_ordered_and_capacity_is_kept(probabilities: list[float], seed: int) -> None:
    scores = np.array(probabilities)
    labels = (np.random.default_rng(seed).random(len(scores)) < 0.1).astype(float)
    levels = risk_thresholds(labels, scores, ReviewCosts(review_capacity=0.1))
    assert levels["medium"] <= levels["high"]
    assert np.mean(scores >= levels["high"]) <= 0.1


def test_the_approval_threshold_agrees_with_the_bank_most_often() -> None:
    rng = np.random.default_rng(2)
    scores = rng.random(500)
    labels = (scores + rng.normal(0, 0.2, 500) > 0.7).astype(float)
    chosen = approval_threshold(labels, scores)["approve"]
    agreement = np.mean((scores >= chosen) == labels)
    assert agreement == max(np.mean((scores >= other) == labels) for other in scores)


@given(st.integers(0, 2**31))
def test_conformal_half_width_covers_its_calibration_rows(seed: int) -> None:
    residuals = np.random.default_rng(seed).normal(size=100)
    width = conformal_half_width(residuals, np.zeros(100))
    assert np.mean(np.abs(residuals) <= width) >= 0.9


def test_too_few_calibration_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least"):
        conformal_half_width(np.zeros(5), np.zeros(5))
