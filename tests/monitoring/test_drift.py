"""The promises of a drift report: it finds what moved, is quiet otherwise, says what it did, and holds no client."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clock import now
from monitoring.columns import METHOD_NAMES, pair_columns
from monitoring.drift import GROWING, MISSING, DriftLimits, DriftOutcome, Model, NothingToCompare, drift_report
from settings import Settings

ROOT = Path(__file__).parents[2]
FEATURES = ["amount", "balance", "is_new", "city", "constant", "empty", "age"]
MODEL = Model(FEATURES, ["prediction_fraud"])
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


def compare(current: pd.DataFrame, model: Model = MODEL, total: int | None = None) -> DriftOutcome:
    return drift_report(rows(1500, 1), current, model, LIMITS, total)


@pytest.fixture(scope="module")
def quiet() -> DriftOutcome:
    """The same bank on another day."""
    return compare(rows(1000, 2))


@pytest.fixture(scope="module")
def moved() -> DriftOutcome:
    """A bank whose payments doubled, whose clients moved, whose balances went missing and whose ages are no longer sent."""
    return compare(_moved())


def _moved() -> pd.DataFrame:
    current = rows(1000, 2)
    current["amount"] *= 2
    current["city"] = "Астана"
    current.loc[current.index % 2 == 0, "balance"] = np.nan
    current["prediction_fraud"] **= 0.5
    return current.drop(columns="age")


def test_the_same_bank_on_another_day_has_not_drifted(quiet: DriftOutcome) -> None:
    assert (quiet.drifted, quiet.predictions_drifted, quiet.alarm) == ((), False, False)
    assert [finding.sentence for finding in quiet.findings] == ["the model does not know client_id: journalled, not compared"]


def test_what_moved_is_named_with_method_score_and_threshold(moved: DriftOutcome) -> None:
    found = {column.column: column for column in moved.features if column.drifted}
    assert {name: column.method for name, column in found.items()} == {
        "amount": METHOD_NAMES["wasserstein"],
        "city": METHOD_NAMES["psi"],
        "balance": MISSING,
        "age": MISSING,
    }
    assert all(column.score >= column.threshold >= 0.1 for column in found.values())
    assert (found["balance"].missing_reference, found["balance"].missing_current) == pytest.approx((0.1, 0.55), abs=0.05)
    assert moved.share == pytest.approx(4 / 7)
    assert moved.predictions_drifted
    assert moved.alarm


def test_flags_are_compared_value_by_value(quiet: DriftOutcome) -> None:
    methods = {column.column: column.method for column in quiet.features}
    assert methods["is_new"] == METHOD_NAMES["jensenshannon"]


def test_columns_are_ranked_by_drift_times_importance(moved: DriftOutcome) -> None:
    shares = dict.fromkeys(FEATURES, 0.0) | {"is_new": 0.8, "age": 0.15, "city": 0.05}
    ranked = compare(_moved(), Model(FEATURES, ["prediction_fraud"], shares))
    severities = [column.score / column.threshold * shares[column.column] for column in ranked.features]
    assert severities == sorted(severities, reverse=True)
    assert ranked.features[0].column in ("age", "city")
    assert ranked.drifted_importance == pytest.approx(0.2)


def test_one_feature_that_carries_the_model_raises_the_alarm() -> None:
    current = rows(1000, 2)
    current["amount"] *= 2
    light, heavy = (
        compare(current, Model(FEATURES, ["prediction_fraud"], dict.fromkeys(FEATURES, (1 - share) / 6) | {"amount": share}))
        for share in (0.1, 0.5)
    )
    assert (light.drifted, heavy.drifted) == (("amount",), ("amount",))
    assert (light.alarm, heavy.alarm) == (False, True)


def test_what_callers_may_leave_out_is_not_missed() -> None:
    current = rows(1000, 2).drop(columns="age")
    strict, lenient = compare(current), compare(current, Model(FEATURES, ["prediction_fraud"], optional=["age"]))
    assert (strict.drifted, lenient.drifted) == (("age",), ())


@pytest.mark.parametrize(("passed", "drifted"), [(3.0, ()), (-3.0, ("balance",))])
def test_what_grows_as_time_passes_drifts_only_when_it_becomes_smaller(passed: float, drifted: tuple[str, ...]) -> None:
    current = rows(1000, 2)
    current["balance"] += passed * 1e6
    assert compare(current).drifted == ("balance",)
    grown = compare(current, Model(FEATURES, ["prediction_fraud"], growing=["balance"]))
    assert grown.drifted == drifted
    assert [column.column for column in grown.features if GROWING in column.method] == ["balance"]


def test_new_clients_beside_old_ones_drift_though_the_old_ones_grow() -> None:
    current = rows(1000, 2)
    current["balance"] = np.where(current.index % 3 == 0, -4e6, current["balance"] + 3e6)
    assert compare(current, Model(FEATURES, ["prediction_fraud"], growing=["balance"])).drifted == ("balance",)


def test_constant_and_empty_columns_are_judged_too(quiet: DriftOutcome) -> None:
    judged = {column.column: column for column in quiet.features}
    assert set(judged) == set(FEATURES)
    assert (judged["constant"].score, judged["empty"].score) == (0.0, 0.0)


def test_the_report_says_that_it_sampled_and_what_error_that_brings() -> None:
    outcome = compare(rows(600, 2), total=90_000)
    assert outcome.sampling == (
        "Compared 600 of 1,500 reference rows with 600 of 90,000 current rows, drawn with seed 7: "
        "any share of the window is known to 5.5 points (95 %)."
    )
    assert all(column.error > 0 for column in outcome.features if column.column in ("amount", "city", "is_new"))
    whole = compare(rows(600, 2))
    assert {column.error for column in whole.features} == {0.0}


def test_the_same_rows_and_seed_give_the_same_figures(quiet: DriftOutcome) -> None:
    again = compare(rows(1000, 2))
    assert (again.features, again.predictions) == (quiet.features, quiet.predictions)


def test_p23_no_client_reaches_the_report(moved: DriftOutcome) -> None:
    from monitoring.report import run_report

    snapshot = run_report(moved, moved.findings, {}, now())
    assert "CANARY" not in snapshot.json()
    assert "CANARY" not in snapshot.get_html_str(as_iframe=False)


def test_evidentlys_tests_tell_the_same_verdicts(moved: DriftOutcome) -> None:
    from monitoring.report import checks, run_report

    failed = {
        check.name.removeprefix("drift of ").split(":")[0]
        for check in checks(run_report(moved, (), {}, now()))
        if not check.passed
    }
    assert failed == {*moved.drifted, "prediction_fraud"}


def test_rare_categories_become_other() -> None:
    reference = pd.DataFrame({"position": ["clerk"] * 50 + [f"only {index}" for index in range(60)]})
    current = pd.DataFrame({"position": ["clerk", "unheard of", None]})
    (pair,) = pair_columns(reference, current, ["position"])
    assert pair.categories == ("clerk", "other")
    assert (pair.counts(pair.reference).tolist(), pair.counts(pair.current).tolist()) == ([50, 60], [1, 1])


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


def test_a_row_alone_is_said_not_compared() -> None:
    with pytest.raises(NothingToCompare, match="^1 current rows against 1500"):
        compare(rows(1, 2))


def test_a_program_that_makes_no_report_does_not_pay_for_evidently() -> None:
    code = "import sys, monitoring.journal, monitoring.observation; sys.exit('evidently' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60)
