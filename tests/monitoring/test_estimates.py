"""Estimates over the journal: what they learn from, when they are refused, and how they are judged later."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from monitoring.companions import companions
from monitoring.estimates import coverage, judge_estimates, record_estimate
from monitoring.estimation import Estimated, NotEstimable
from monitoring.journal import Journal, JournalRow
from monitoring.labels import record_labels
from monitoring.learned import stored_rows
from monitoring.loss import reference_quality
from monitoring.maturity import matured_window
from monitoring.quality import realised, scores_of
from monitoring.rows import open_journal
from monitoring.standing import record_told
from monitoring.surges import Surge
from registry.encoding import ModelColumn
from registry.scorer import Scorer
from settings import Settings
from tests.monitoring.frauds import CONFIG, MONTH, NOW, drawn, expected, journalled, scorer


@pytest.fixture
def engine(database_url: str) -> Engine:
    return open_journal(Settings(database_url=database_url))


def beside(engine: Engine, use_case: str) -> dict[str, float]:
    scores = scores_of(engine, use_case, "3", NOW - MONTH, NOW, 1)
    return companions(engine, use_case, scores, (NOW - 2 * MONTH, NOW - MONTH), scorer(), "3", CONFIG)


def test_an_estimate_is_judged_once_by_what_is_realised_later(engine: Engine) -> None:
    labels = journalled(engine, NOW - MONTH, 2)
    window = NOW - MONTH, NOW
    found = expected(engine, scorer())
    assert isinstance(found, Estimated)
    for estimate in (found, Estimated("pr_auc", 0, 0, 0, 500)):  # one made after the fact does not replace the first
        record_estimate(engine, "fraud", "3", *window, estimate)
    record_labels(engine, labels[:400])
    assert judge_estimates(engine, "fraud", NOW + MONTH, CONFIG) == 0  # a fifth of the labels is missing
    record_labels(engine, labels)
    assert judge_estimates(engine, "fraud", NOW, CONFIG) == 0  # not matured
    assert judge_estimates(engine, "fraud", NOW + MONTH, CONFIG) == 1
    value = realised(engine, "fraud", "3", *window).value
    assert value is not None
    held = found.low <= value <= found.high  # nine in ten do: test_estimation.py counts them
    assert (coverage(engine, "fraud").judged, coverage(engine, "fraud").share) == (1, float(held))


def test_probabilities_that_newest_labels_contradict_are_not_estimable(engine: Engine) -> None:
    record_labels(engine, journalled(engine, NOW - 3 * MONTH, 3, power=2.0))
    journalled(engine, NOW - MONTH, 4, power=2.0)
    found = expected(engine, scorer())
    assert isinstance(found, NotEstimable)
    assert "not calibrated" in found.reason
    record_estimate(engine, "fraud", "3", NOW - MONTH, NOW, found)
    assert coverage(engine, "fraud").judged == 0


def test_a_column_that_time_alone_moves_changes_no_estimate(engine: Engine) -> None:
    journalled(engine, NOW - MONTH, 2)
    plain, days = scorer(), np.arange(2000) % 7
    columns = *plain.columns_, ModelColumn("weekday")
    dated = replace(plain, columns_=columns, reference=plain.reference.assign(weekday=days))
    assert expected(engine, dated) == expected(engine, plain)


def test_the_same_scores_under_other_ids_get_the_same_estimate(database_url: str, tmp_path: Path) -> None:
    found = []
    for url in (database_url, f"sqlite:///{tmp_path / 'other.db'}"):
        other = open_journal(Settings(database_url=url))
        journalled(other, NOW - MONTH, 2, clients=300, moments=20)
        found.append(expected(other, scorer()))
    assert isinstance(found[0], Estimated)
    assert found[0] == found[1]


def test_a_version_learns_from_all_labelled_rows_it_has_and_is_judged_on_its_holdout(engine: Engine) -> None:
    feature, probability, label = drawn(2000, 8)
    calibration = pd.DataFrame({"x": feature, "prediction_fraud": probability, "label_fraud": label})
    plain = scorer()
    both = replace(plain, calibration=calibration)
    rows = stored_rows(both)
    assert rows is not None
    np.testing.assert_array_equal(rows.labels["fraud"], np.r_[label, plain.reference["label_fraud"]])  # in order of time
    assert reference_quality("fraud", both) == reference_quality("fraud", plain)
    journalled(engine, NOW - MONTH, 2)
    narrow, wide = expected(engine, both), expected(engine, plain)
    assert isinstance(narrow, Estimated)
    assert isinstance(wide, Estimated)
    assert narrow.high - narrow.low < wide.high - wide.low


def test_labels_that_came_before_their_time_teach_nothing(engine: Engine) -> None:
    early = [label for label in journalled(engine, NOW - MONTH, 5) if label.label == 1]  # frauds are reported first
    record_labels(engine, early)
    assert isinstance(expected(engine, scorer()), Estimated)


@pytest.mark.parametrize(
    ("rows", "share", "unknown", "given"),
    [
        (8_000, 1.0, 0.0, True),
        (8_000, 0.6, 0.0, True),
        (150, 1.0, 0.0, False),
        (2_000, 0.0, 0.0, False),
        (8_000, 1.0, 0.1, False),
    ],
    ids=["harmless", "harmless so far", "too few labels", "no labels", "a campaign"],
)
def test_after_a_surge_nothing_is_estimated_until_labels_bear_the_scores_out(
    engine: Engine, rows: int, share: float, unknown: float, given: bool
) -> None:
    surge = Surge("x", "above 2", 0.01, 0.03, 9.0)
    record_told(engine, "fraud", NOW - MONTH + timedelta(days=2), [surge])
    rng = np.random.default_rng(9)
    labels = journalled(engine, NOW - MONTH, 9, rows=rows)
    known = [label for label in labels if rng.random() < share]
    struck = [replace(label, label=1.0) if rng.random() < unknown else label for label in known]
    record_labels(engine, struck)
    config = CONFIG.model_copy(update={"drift_surge": 0.03})
    found = expected(engine, scorer(), config)
    assert isinstance(found, Estimated) == given
    if isinstance(found, NotEstimable):
        assert surge.sentence in found.reason


@pytest.mark.parametrize("version", [scorer(power=2.0), scorer(labelled=False)])
def test_a_version_that_cannot_be_believed_or_checked_is_not_estimable(engine: Engine, version: Scorer) -> None:
    journalled(engine, NOW - MONTH, 6)
    assert isinstance(expected(engine, version), NotEstimable)


@pytest.mark.parametrize("rows", [0, 1])
def test_an_empty_window_and_one_of_a_row_say_so(engine: Engine, rows: int) -> None:
    journalled(engine, NOW - MONTH, 6, rows=rows)
    found = expected(engine, scorer())
    assert isinstance(found, NotEstimable)
    assert reference_quality("fraud", scorer(labelled=False)) is None


def test_the_alert_rate_stands_beside_the_review_capacity(engine: Engine) -> None:
    assert beside(engine, "fraud") == {}
    journalled(engine, NOW - MONTH, 7)
    found = beside(engine, "fraud")
    assert found == {"alert rate": pytest.approx(np.mean(drawn(500, 7)[1] > 0.8)), "review capacity": CONFIG.review_capacity}


def test_the_fairness_gap_is_the_greatest_between_groups_of_enough_clients(engine: Engine) -> None:
    groups = {0.0: (100, 80), 1.0: (100, 40), 2.0: (10, 0)}  # the last is too small to tell
    rows = [
        JournalRow(
            use_case="prescoring",
            source="api",
            features={"gender": gender, "age_years": 40.0},
            score={"bank_a": 0.5},
            decision={"bank_a": "approve" if index < approved else "decline"},
            model_version="3",
            latency_ms=1.0,
            ts=NOW - MONTH,
        )
        for gender, (size, approved) in groups.items()
        for index in range(size)
    ]
    with Journal(engine) as journal:
        journal.write(rows)
    found = beside(engine, "prescoring")
    assert found == {"fairness gap": pytest.approx(0.4), "four-fifths ratio": pytest.approx(0.5)}


def test_a_use_case_is_matured_after_its_own_days() -> None:
    assert matured_window("prescoring", NOW, 10, CONFIG) == (NOW - timedelta(days=130), NOW - timedelta(days=120))
    with pytest.raises(ValueError, match="income"):
        matured_window("income", NOW, 10, CONFIG)
