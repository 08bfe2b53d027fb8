"""A challenger in shadow: what it scored, where it failed, and how it compares with the champion on the same live rows."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import Engine

from clock import now
from monitoring.journal import Journal, JournalRow
from monitoring.labels import Label, record_labels
from monitoring.live import Live, live
from monitoring.rows import open_journal
from registry.metrics import METRICS
from settings import Settings

SINCE, UNTIL = now() - timedelta(hours=1), now() + timedelta(hours=1)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_journal(Settings(database_url=database_url))
    yield engine
    engine.dispose()


def given(rows: int, rng: np.random.Generator) -> list[JournalRow]:
    """Scores that callers were answered with by version 3."""
    scores = rng.random(rows).tolist()
    return [JournalRow("fraud", "api", {"amount": 1.0}, {"fraud": score}, "3", 1.0, client_id="CANARY") for score in scores]


def shadowed(row: JournalRow, score: float | None, version: str = "4") -> JournalRow:
    """As the service writes it."""
    status = {"status": "failed", "error": "ValueError"} if score is None else {}
    return replace(
        row,
        source="shadow",
        is_simulation=True,
        model_version=version,
        score=None if score is None else {"fraud": score},
        score_id=f"{row.score_id}.shadow.{version}",
        **status,
    )


def write(engine: Engine, rows: list[JournalRow]) -> None:
    with Journal(engine) as journal:
        journal.write(rows)


def test_without_rows_in_shadow_that_is_what_is_said(engine: Engine) -> None:
    seen = live(engine, "fraud", "4", SINCE, UNTIL)
    assert seen == Live(0, 0)
    assert seen.sentence == "in shadow it was given no rows"


def test_rows_failures_and_the_distance_of_the_scores_are_those_of_this_version(engine: Engine) -> None:
    rows = given(100, np.random.default_rng(1))
    mirrored = [shadowed(row, 1 - row.score["fraud"] if number else None) for number, row in enumerate(rows)]
    other = [shadowed(row, 0.5, version="5") for row in rows]
    write(engine, rows + mirrored + other)
    seen = live(engine, "fraud", "4", SINCE, UNTIL)
    assert (seen.rows, seen.failed, seen.labelled, seen.challenger) == (100, 1, 0, None)
    (output,) = seen.outputs
    scores = np.array([row.score["fraud"] for row in rows[1:]])
    assert output.difference == pytest.approx(np.mean(1 - 2 * scores))
    thresholds = np.concatenate([scores, 1 - scores])
    assert output.distance == pytest.approx(max(abs(np.mean(scores <= t) - np.mean(1 - scores <= t)) for t in thresholds))
    assert "99 of 100 rows" in seen.sentence
    assert seen.figures["shadow_failed"] == 1
    assert "CANARY" not in seen.sentence
    assert live(engine, "fraud", "5", SINCE, UNTIL).failed == 0


def test_where_labels_have_come_both_versions_are_judged_on_the_same_rows(engine: Engine) -> None:
    rng = np.random.default_rng(2)
    rows = given(200, rng)
    fraud = np.array([rng.random() < row.score["fraud"] for row in rows], dtype=float)
    perfect = [shadowed(row, 0.1 + 0.8 * label) for row, label in zip(rows, fraud, strict=True)]
    write(engine, rows + perfect)
    labels = [Label(float(label), score_id=row.score_id) for row, label in zip(rows[:150], fraud, strict=False)]
    assert record_labels(engine, labels).joined == 150
    seen = live(engine, "fraud", "4", SINCE, UNTIL)
    scores = np.array([row.score["fraud"] for row in rows[:150]])
    assert seen.labelled == 150
    assert seen.challenger == pytest.approx(1.0)
    assert seen.champion == pytest.approx(METRICS["pr_auc"].score(fraud[:150], scores, np.ones(150)))
    assert "PR-AUC 1 against" in seen.sentence
    assert seen.figures["shadow_labelled"] == 150


def test_labels_of_one_kind_give_no_metric(engine: Engine) -> None:
    rows = given(30, np.random.default_rng(3))
    write(engine, rows + [shadowed(row, 0.5) for row in rows])
    record_labels(engine, [Label(0.0, score_id=row.score_id) for row in rows])
    seen = live(engine, "fraud", "4", SINCE, UNTIL)
    assert (seen.labelled, seen.challenger, seen.champion) == (30, None, None)
    assert "PR-AUC" not in seen.sentence
