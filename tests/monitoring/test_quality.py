"""Realised quality: the use case's metric on labelled scores, with an interval that says how sure it is."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import Engine

from monitoring.journal import Journal, JournalRow
from monitoring.labels import Label, record_labels
from monitoring.quality import METRIC_OF, realised
from monitoring.rows import open_journal
from registry.metrics import METRICS
from settings import Settings
from training.use_cases import USE_CASES

AT = datetime(2026, 5, 1, tzinfo=UTC)
UNTIL = AT + timedelta(days=30)


@pytest.fixture
def engine(database_url: str) -> Engine:
    return open_journal(Settings(database_url=database_url))


def scored(engine: Engine, use_case: str, scores: list[dict[str, float]], **fields: object) -> list[str]:
    """Journal these scores over a month; gives their ids."""
    step = timedelta(days=29) / max(len(scores), 1)
    rows = [
        JournalRow(
            use_case=use_case,
            source="api",
            features={"x": float(index)},
            score=score,
            latency_ms=1.0,
            ts=AT + step * index,
            **{"model_version": "3", **fields},  # type: ignore[arg-type]
        )
        for index, score in enumerate(scores)
    ]
    with Journal(engine) as journal:
        journal.write(rows)
    return [row.score_id for row in rows]


def frauds(engine: Engine, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probabilities = rng.beta(0.5, 5, rows)
    labels = (rng.random(rows) < probabilities).astype(float)
    ids = scored(engine, "fraud", [{"fraud": float(p)} for p in probabilities])
    record_labels(engine, [Label(label, score_id) for label, score_id in zip(labels, ids, strict=True)])
    return labels, probabilities


def test_the_realised_metric_is_that_of_the_labelled_scores(engine: Engine) -> None:
    labels, probabilities = frauds(engine, 400, 1)
    scored(engine, "fraud", [{"fraud": 0.9}] * 50)  # no label yet
    found = realised(engine, "fraud", "3", AT, UNTIL)
    assert found.rows == 400
    assert found.value == pytest.approx(METRICS["pr_auc"].score(labels, probabilities, np.ones(400)))
    assert found.low < found.value < found.high  # type: ignore[operator]


def test_other_versions_windows_and_simulations_do_not_count(engine: Engine) -> None:
    frauds(engine, 50, 1)
    for fields in ({"model_version": "4"}, {"is_simulation": True}):
        ids = scored(engine, "fraud", [{"fraud": 0.5}] * 10, **fields)
        record_labels(engine, [Label(1, score_id) for score_id in ids])
    assert realised(engine, "fraud", "3", AT, UNTIL).rows == 50
    assert realised(engine, "fraud", "3", UNTIL, UNTIL + timedelta(days=30)).rows == 0


def test_several_outputs_are_averaged_with_what_labels_each_has(engine: Engine) -> None:
    rng = np.random.default_rng(2)
    scores = [{"bank_a": float(a), "bank_b": float(b)} for a, b in rng.random((200, 2))]
    ids = scored(engine, "prescoring", scores)
    labels = [Label(float(rng.random() < score["bank_a"]), i, output="bank_a") for i, score in zip(ids, scores, strict=True)]
    labels += [Label(float(score["bank_b"] > 0.5), i, output="bank_b") for i, score in zip(ids[:80], scores[:80], strict=True)]
    record_labels(engine, labels)
    truth = np.array([label.label for label in labels[:200]])
    first = METRICS["roc_auc"].score(truth, np.array([score["bank_a"] for score in scores]), np.ones(200))
    assert realised(engine, "prescoring", "3", AT, UNTIL).value == pytest.approx((first + 1.0) / 2)


@pytest.mark.parametrize("labels", [[], [1.0], [0.0] * 30])
def test_what_has_no_metric_says_why(engine: Engine, labels: list[float]) -> None:
    ids = scored(engine, "fraud", [{"fraud": 0.1 + index / 100} for index in range(len(labels))])
    record_labels(engine, [Label(label, score_id) for label, score_id in zip(labels, ids, strict=True)])
    found = realised(engine, "fraud", "3", AT, UNTIL)
    assert (found.value, found.rows) == (None, len(labels)) or labels == [1.0]
    assert found.reason or found.value is not None


def test_every_use_case_is_watched_by_the_metric_it_is_selected_by() -> None:
    assert {name: case.metric for name, case in USE_CASES.items()} == METRIC_OF
