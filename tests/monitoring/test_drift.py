"""The promises of a drift report: it finds what moved, is quiet otherwise, says what it did, and holds no client."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wasserstein_distance

from monitoring.columns import METHOD_NAMES, _wasserstein_of_splits, chance_threshold, pair_columns
from monitoring.drift import MISSING, DriftLimits, DriftOutcome, NothingToCompare, drift_report
from settings import Settings

ROOT = Path(__file__).parents[2]
FEATURES = ["amount", "balance", "is_new", "city", "constant", "empty", "age"]
LIMITS = DriftLimits(rows=600, seed=7)


def rows(count: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "client_id": [f"CANARY-{seed}-{index}" for index in range(count)],
            "amount": rng.lognormal(9, 1, count),
            "balance": np.where(rng.random(count) < 0.1, np.nan, rng.normal(0, 1e6, count)),
            "is_new": rng.random(count) < 0.2,
            "city": rng.choice(["Алматы", "Астана", "Шымкент"], count, p=[0.5, 0.3, 0.2]),
            "constant": 1.0,
            "empty": np.nan,
            "age": rng.integers(18, 80, count),
            "prediction_fraud": rng.beta(1, 30, count),
        }
    )


def compare(current: pd.DataFrame, limits: DriftLimits = LIMITS) -> DriftOutcome:
    return drift_report(rows(1500, 1), current, FEATURES, ["prediction_fraud"], limits)


@pytest.fixture(scope="module")
def quiet() -> DriftOutcome:
    """The same bank on another day."""
    return compare(rows(1000, 2))


@pytest.fixture(scope="module")
def moved() -> DriftOutcome:
    """A bank whose payments doubled, whose clients moved, whose balances went missing and whose ages are no longer sent."""
    current = rows(1000, 2)
    current["amount"] *= 2
    current["city"] = "Астана"
    current.loc[current.index % 2 == 0, "balance"] = np.nan
    current["prediction_fraud"] **= 0.5
    return compare(current.drop(columns="age"))


def test_the_same_bank_on_another_day_has_not_drifted(quiet: DriftOutcome) -> None:
    assert (quiet.drifted, quiet.predictions_drifted) == ((), False)
    assert all(check.passed for check in quiet.checks)


def test_what_moved_is_named_with_method_score_and_threshold(moved: DriftOutcome) -> None:
    found = {column.column: column for column in moved.features if column.drifted}
    assert {name: column.method for name, column in found.items()} == {
        "amount": METHOD_NAMES["wasserstein"],
        "city": METHOD_NAMES["jensenshannon"],
        "balance": MISSING,
        "age": MISSING,
    }
    assert all(column.score >= column.threshold >= 0.1 for column in found.values())
    assert (found["balance"].missing_reference, found["balance"].missing_current) == pytest.approx((0.1, 0.55), abs=0.05)
    assert moved.share == pytest.approx(4 / 7)
    assert moved.predictions_drifted
    assert [column.score / column.threshold for column in moved.features] == sorted(
        (column.score / column.threshold for column in moved.features), reverse=True
    )


def test_evidentlys_own_tests_agree(moved: DriftOutcome) -> None:
    failed = " ".join(check.name for check in moved.checks if not check.passed)
    assert all(name in failed for name in ("amount", "city", "balance", "prediction_fraud"))
    assert "constant" not in failed


def test_constant_and_empty_columns_are_judged_too(quiet: DriftOutcome) -> None:
    judged = {column.column: column for column in quiet.features}
    assert set(judged) == set(FEATURES)
    assert (judged["constant"].score, judged["empty"].score) == (0.0, 0.0)


def test_the_report_says_that_it_sampled_and_how(quiet: DriftOutcome) -> None:
    sentence = "Compared 600 of 1,500 reference rows with 600 of 1,000 current rows, drawn with seed 7."
    assert quiet.sampling == sentence
    assert sentence in quiet.snapshot.get_html_str(as_iframe=False)


def test_the_same_rows_and_seed_give_the_same_figures(quiet: DriftOutcome) -> None:
    again = compare(rows(1000, 2))
    assert (again.features, again.predictions) == (quiet.features, quiet.predictions)


def test_p23_no_client_reaches_the_report(moved: DriftOutcome) -> None:
    assert "CANARY" not in moved.snapshot.json()
    assert "CANARY" not in moved.snapshot.get_html_str(as_iframe=False)


def test_no_row_of_a_client_can_be_put_together_again() -> None:
    twin = pd.DataFrame({"a": np.arange(1000.0), "b": np.arange(1000.0)})
    first, second = pair_columns(twin, twin, ["a", "b"], 1)
    assert sorted(first.current) == sorted(second.current) == twin.a.tolist()
    assert abs(np.corrcoef(first.current, second.current)[0, 1]) < 0.2


def test_rare_categories_become_other() -> None:
    reference = pd.DataFrame({"position": ["clerk"] * 50 + [f"only {index}" for index in range(60)]})
    current = pd.DataFrame({"position": ["clerk", "unheard of", None]})
    (pair,) = pair_columns(reference, current, ["position"], 1)
    assert set(pair.reference) == {"clerk", "other"}
    assert sorted(pair.current.dropna()) == ["clerk", "other"]


@pytest.mark.parametrize("size", [1, 40, 99])
def test_distances_of_splits_are_evidentlys_distance(size: int) -> None:
    values = np.sort(np.random.default_rng(1).pareto(1.5, 100))
    found = _wasserstein_of_splits(values, size, np.random.default_rng(2))
    sides = np.random.default_rng(2).permuted(np.tile(np.arange(100) < size, (len(found), 1)), axis=1)
    expected = [wasserstein_distance(values[side], values[~side]) / max(values[side].std(), 0.001) for side in sides]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-6 * max(expected))


@pytest.mark.parametrize("count", [100, 1000])
def test_heavy_tails_and_small_windows_raise_no_false_alarm(count: int) -> None:
    alarms = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        reference, current = pd.DataFrame({"x": rng.pareto(1.5, 1000)}), pd.DataFrame({"x": rng.pareto(1.5, count)})
        (pair,) = pair_columns(reference, current, ["x"], seed)
        alarms += wasserstein_distance(pair.reference, pair.current) / pair.reference.std() > chance_threshold(pair, 0.1, seed)
    assert alarms <= 6


@pytest.mark.parametrize("current", [rows(0, 2), rows(99, 2)], ids=["empty", "too few"])
def test_too_few_rows_are_said_not_compared(current: pd.DataFrame) -> None:
    with pytest.raises(NothingToCompare, match="at least 100 scores are needed"):
        compare(current)


def test_a_window_without_any_known_feature_is_said_not_compared() -> None:
    with pytest.raises(NothingToCompare, match="no feature has values"):
        compare(rows(500, 2)[["client_id", "prediction_fraud"]])


def test_the_limits_of_the_settings_are_the_limits_of_a_report() -> None:
    config, limits = Settings(), DriftLimits()
    assert (config.drift_rows, config.drift_fewest_rows) == (limits.rows, limits.fewest)
    assert (config.drift_distance, config.drift_share) == (limits.distance, limits.share)


def test_a_program_that_makes_no_report_does_not_pay_for_evidently() -> None:
    code = "import sys, monitoring.journal, monitoring.drift; sys.exit('evidently' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60)
