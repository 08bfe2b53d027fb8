"""What callers without the destination are promised: probabilities that mean what they say, thresholds of rows like theirs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from monitoring.as_served import without
from monitoring.recalibration import recalibrate
from registry.encoding import encode
from registry.fast import FastScorer
from registry.golden import OtherOutputs, compare, read_golden
from registry.metrics import METRICS
from registry.outputs import Calibration, Lacking
from registry.promotion import evaluate
from registry.scorer import Scorer
from training.ensemble import Ingredient, Workers, problem
from training.families import FAMILIES
from training.fit import Plan, build, holdout_of
from training.reproduce import compare as compare_versions
from training.reproduce import rebuild
from training.split import split
from training.task import TrainingTask
from training.thresholds import capacity_threshold

ROWS, SEED = 40_000, 7
CAPACITY = 0.02
WITHIN = 0.15
TASK = TrainingTask(
    "payments",
    ("fraud",),
    "binary",
    "pr_auc",
    ("amount", "night", "risk", "age_days"),
    time="as_of",
    sometimes_absent=("risk", "age_days"),
)


def payments(rows: int, seed: int, risky: np.ndarray | float) -> tuple[pd.DataFrame, np.ndarray]:
    """Payments, a share `risky` of them to destinations with known frauds, and how likely each is to be one."""
    rng = np.random.default_rng(seed)
    known = rng.random(rows) < risky
    frame = pd.DataFrame(
        {
            "amount": rng.lognormal(9, 1, rows),
            "night": (rng.random(rows) < 0.3).astype(float),
            "risk": np.where(known, rng.uniform(0.2, 0.6, rows), 0.0),
            "age_days": rng.exponential(60, rows),
            "as_of": pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(rows), "min"),
        }
    )
    odds = -4.5 + 0.8 * (np.log(frame["amount"]) - 9) + frame["night"] + 5 * frame["risk"] - 0.01 * frame["age_days"]
    chance = 1 / (1 + np.exp(-odds.to_numpy()))
    return frame.assign(fraud=(rng.random(rows) < chance).astype(float)), chance


def history() -> pd.DataFrame:
    """In its last quarter, by which models are calibrated and judged, frauds gather at more destinations than before.

    With the destination a model follows them; without, it states the rate that it has learned.
    """
    return payments(ROWS, 1, np.where(np.arange(ROWS) < 0.75 * ROWS, 0.05, 0.3))[0]


def fresh() -> tuple[pd.DataFrame, np.ndarray]:
    return payments(60_000, 100, 0.3)


def lacking(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns=list(TASK.sometimes_absent))


def capacity(_output: str, _labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    return {"high": capacity_threshold(probabilities, CAPACITY)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scorer of this history, by a plan as a search makes one."""
    folder = tmp_path_factory.mktemp("lacking") / "scorer"
    folder.mkdir()
    parts = split(TASK, history(), SEED)
    params = FAMILIES["lightgbm"].portfolio(problem(TASK, parts.columns, SEED))[0]
    plan = Plan({"fraud": (Ingredient("lightgbm", params, 60, 1.0),)}, {}, Workers(1, 1), {})
    build(TASK, parts, plan, folder, SEED, capacity)
    return folder


@pytest.fixture(scope="module")
def scorer(folder: Path) -> Scorer:
    return Scorer.load(folder)


def test_without_the_destination_stated_probabilities_are_within_15_percent_of_the_true_ones(scorer: Scorer) -> None:
    frame, chance = fresh()
    stated = scorer.predict(lacking(frame))["fraud"]
    assert stated.mean() / chance.mean() == pytest.approx(1, abs=WITHIN)
    found = recalibrate(stated, frame["fraud"].to_numpy(), np.ones(len(frame)), np.arange(len(frame)), bends=False)
    assert found.miscalibration() == ""  # so that monitoring can estimate


def test_the_map_of_complete_rows_would_be_wrong_for_those_without(scorer: Scorer) -> None:
    frame, chance = fresh()
    (output,) = scorer.outputs_
    alike = replace(scorer, outputs_=(replace(output, lacking=None),))
    assert alike.predict(lacking(frame))["fraud"].mean() / chance.mean() < 1 - 2 * WITHIN
    np.testing.assert_array_equal(alike.predict(frame)["fraud"], scorer.predict(frame)["fraud"])


def test_a_row_that_has_one_of_the_columns_counts_as_complete(scorer: Scorer) -> None:
    (output,) = scorer.outputs_
    matrix = np.array([[1, 0, np.nan, np.nan], [1, 0, 0.0, np.nan], [np.nan, np.nan, np.nan, 3]], dtype=np.float32)
    assert output.lacking.rows(matrix).tolist() == [True, False, False]


def test_thresholds_are_those_of_rows_as_callers_send_them(scorer: Scorer) -> None:
    high = scorer.thresholds["fraud"]["high"]
    flagged = [float((scorer.predict(rows)["fraud"] >= high).mean()) for rows in (lacking(fresh()[0]), fresh()[0])]
    assert flagged[0] == pytest.approx(CAPACITY, rel=0.25)
    assert flagged[1] > 1.5 * CAPACITY


def test_the_gate_judges_rows_as_callers_send_them(scorer: Scorer) -> None:
    held, judged = split(TASK, history(), SEED).holdout.frame, holdout_of(TASK, history(), SEED)
    assert judged.features[list(TASK.sometimes_absent)].isna().all(axis=None)
    pd.testing.assert_frame_equal(lacking(judged.features), lacking(held))
    known = METRICS[TASK.metric].score(held["fraud"].to_numpy(), scorer.predict(held)["fraud"], np.ones(len(held)))
    assert evaluate(scorer, judged) < known / 1.1  # what the destination would bring does not count


def test_among_rows_that_lack_the_same_the_ranking_is_that_of_the_boosters(scorer: Scorer) -> None:
    for rows in (lacking(fresh()[0]), fresh()[0]):
        margins, stated = scorer.margins(rows)["fraud"], scorer.predict(rows)["fraud"]
        assert (np.diff(stated[np.argsort(margins, kind="stable")]) >= 0).all()


def test_one_row_many_rows_and_the_reference_as_served_get_the_same_map(scorer: Scorer) -> None:
    fast = FastScorer(scorer)
    for rows in (lacking(fresh()[0].head(200)), fresh()[0].head(200)):
        expected, matrix = scorer.predict(rows)["fraud"], encode(rows, scorer.columns_)
        np.testing.assert_allclose([fast.predict_one(row[None])["fraud"] for row in matrix], expected, atol=1e-6)
        np.testing.assert_allclose(fast.predict(matrix)["fraud"], expected, atol=1e-6)
    served = without(scorer, list(TASK.sometimes_absent), 1.0, 1).reference
    np.testing.assert_allclose(served["prediction_fraud"], scorer.predict(lacking(served))["fraud"])


def test_golden_rows_notice_another_map_of_either_kind_of_row(folder: Path, scorer: Scorer) -> None:
    golden = read_golden(folder)
    compare(scorer, golden)
    (output,) = scorer.outputs_
    bent = Calibration("isotonic", (0.0, 1.0), (0.0, 0.9))
    for other in (replace(output, calibration=bent), replace(output, lacking=Lacking(output.lacking.columns, bent))):
        with pytest.raises(OtherOutputs, match="fraud of golden row"):
            compare(replace(scorer, outputs_=(other,)), golden)


def test_both_maps_are_rebuilt_from_what_a_version_records(folder: Path, scorer: Scorer, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    rebuild(TASK, history(), scorer.metadata, tmp_path / "again", capacity)
    assert [finding.what for finding in compare_versions(folder, tmp_path / "again") if not finding.same] == []
