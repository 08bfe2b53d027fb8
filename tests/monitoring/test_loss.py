"""A loss of quality counts when it is beyond what chance does to both samples; a version is compared as it is served."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from database import open_database
from monitoring.as_served import as_served, without
from monitoring.drift import DriftLimits
from monitoring.estimation import Estimated, NotEstimable
from monitoring.journal import Journal, JournalRow
from monitoring.loss import reference_quality, relative_loss
from monitoring.quality import Realised, scores_of
from monitoring.watch import watch
from registry.encoding import ModelColumn
from registry.loading import LoadedModel
from registry.outputs import Member, Output
from registry.scorer import Scorer
from tests.monitoring.frauds import MONTH, NOW, drawn, model, scorer


def realised(value: float, half: float) -> Realised:
    return Realised("pr_auc", value, value - half, value + half, 1000)


@pytest.mark.parametrize(
    ("found", "loss"),
    [
        (realised(0.18, 0.02), 0.4),
        (Estimated("pr_auc", 0.18, 0.16, 0.20, 1000), 0.4),
        (realised(0.26, 0.02), 0.0),  # the holdout is not known that exactly
        (realised(0.18, 0.2), 0.0),  # nor is this window
        (realised(0.5, 0.02), 0.0),  # better
        (NotEstimable("withheld"), 0.0),
        (Realised("pr_auc", None, None, None, 0, "no label"), 0.0),
    ],
)
def test_a_loss_counts_when_it_is_beyond_chance_on_both_sides(found: Realised, loss: float) -> None:
    assert relative_loss(realised(0.3, 0.06), found) == pytest.approx(loss)
    assert relative_loss(None, found) == 0.0


def test_of_amounts_less_is_better() -> None:
    reference = Realised("wmae", 100.0, 90.0, 110.0, 500)
    assert relative_loss(reference, Realised("wmae", 150.0, 140.0, 160.0, 500)) == pytest.approx(0.5)
    assert relative_loss(reference, Realised("wmae", 50.0, 40.0, 60.0, 500)) == 0.0


def test_the_quality_on_the_holdout_has_an_interval_and_none_without_labels() -> None:
    found = reference_quality("fraud", scorer())
    assert found is not None
    assert found.low < found.value < found.high
    assert reference_quality("fraud", scorer(labelled=False)) is None


class Doubling:
    """A booster whose margin is its first feature plus twice its second, where that is known."""

    def margin(self, matrix: np.ndarray) -> np.ndarray:
        return matrix[:, 0] + 2 * np.nan_to_num(matrix[:, 1])

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        return np.column_stack([matrix[:, 0], 2 * np.nan_to_num(matrix[:, 1]), np.zeros(len(matrix))])


def with_destination() -> LoadedModel:
    """A version that learned from a destination, which some callers cannot give."""
    frame = pd.DataFrame({"x": drawn(2000, 1)[0], "destination": np.random.default_rng(2).normal(0, 1, 2000)})
    columns = (ModelColumn("x"), ModelColumn("destination"))
    outputs = (Output("fraud", "logit", (Member("doubling", "one", 1.0),)),)
    version = Scorer(columns, outputs, {"one": Doubling()}, {}, {"sometimes_absent": ["destination"]}, frame)
    predicted = version.predict(frame)["fraud"]
    return replace(model(), scorer=replace(version, reference=frame.assign(prediction_fraud=predicted, label_fraud=0.0)))


def served(engine: Engine, share: float, rows: int = 400) -> None:
    """Scores of a month; in `share` of them the destination is not given."""
    version = with_destination().scorer
    rng = np.random.default_rng(3)
    destination = np.where(rng.random(rows) < share, np.nan, rng.normal(0, 1, rows))
    frame = pd.DataFrame({"x": drawn(rows, 4)[0], "destination": destination})
    with Journal(engine) as journal:
        journal.write(
            [
                JournalRow(
                    use_case="fraud", source="api", features=features, score={"fraud": float(score)}, model_version="3",
                    latency_ms=1.0, ts=NOW - timedelta(days=1 + index % 28),
                )
                for index, (features, score) in enumerate(
                    zip(frame.to_dict("records"), version.predict(frame)["fraud"], strict=True)
                )
            ]
        )  # fmt: skip


def test_a_version_is_compared_as_it_is_served(database_url: str) -> None:
    engine = open_database(database_url)
    served(engine, share=1.0)
    version = with_destination()
    with Journal(engine) as journal:
        sample = journal.sample("fraud", "3", NOW - MONTH, NOW, 10_000, 1)
    naive = watch(version, sample, DriftLimits(), NOW)
    fair = watch(as_served(version, sample.frame, 1), sample, DriftLimits(), NOW)
    assert naive.alarm
    assert not fair.alarm


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_as_many_rows_of_the_reference_lack_it_as_of_the_window(database_url: str, share: float) -> None:
    engine = open_database(database_url)
    served(engine, share)
    version = with_destination()
    reference = as_served(version, scores_of(engine, "fraud", "3", NOW - MONTH, NOW, 1), 1).scorer.reference
    assert reference["destination"].isna().mean() == pytest.approx(share, abs=0.06)
    kept = reference["destination"].notna()
    pd.testing.assert_frame_equal(reference[kept], version.scorer.reference[kept])
    np.testing.assert_allclose(reference["prediction_fraud"], version.scorer.predict(reference)["fraud"])


def test_rows_of_the_calibration_lack_it_as_those_of_the_reference_do() -> None:
    whole = with_destination().scorer
    found = without(replace(whole, calibration=whole.reference), ["destination"], 1.0, 1)
    assert found.calibration is not None
    pd.testing.assert_frame_equal(found.calibration, found.reference)
    assert found.calibration["destination"].isna().all()


def test_a_version_that_needs_all_it_learned_from_is_left_as_it_is() -> None:
    version = model()
    assert as_served(version, pd.DataFrame({"feature_x": [1.0]}), 1) is version
    whole = with_destination().scorer
    assert without(whole, ["destination"], 0.0, 1) is whole
