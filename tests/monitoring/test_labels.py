"""Labels join the journal: by id, by client and month, once, and nothing is lost."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select

from database import open_database
from monitoring.journal import Journal, JournalRow
from monitoring.labels import Label, LabelsOutcome, record_labels
from monitoring.rows import LABELS, LABELS_ASIDE

AT = datetime(2026, 5, 31, 23, 30, tzinfo=UTC)
LATER = AT + timedelta(days=30)


def row(score_id: str, use_case: str = "fraud", **fields: object) -> JournalRow:
    outputs = {"prescoring": {"bank_a": 0.4, "bank_b": 0.6}, "income": {"income": 250_000.0}}
    given = {"score": outputs.get(use_case, {use_case: 0.2}), "ts": AT, "score_id": score_id, **fields}
    return JournalRow(use_case=use_case, source="api", features={"x": 1.0}, model_version="3", latency_ms=1.0, **given)  # type: ignore[arg-type]


@pytest.fixture
def engine(database_url: str) -> Engine:
    engine = open_database(database_url)
    with Journal(engine) as journal:
        journal.write(
            [
                *(row(f"f{index}") for index in range(3)),
                row("failed", score=None, status="failed"),
                row("p0", "prescoring"),
                row("i0", "income", client_id="7"),
                row("i1", "income", client_id="7", ts=AT - timedelta(days=1)),
                row("i2", "income", client_id="7", ts=AT + timedelta(hours=1)),  # June
                row("i3", "income", client_id="7", is_simulation=True),
            ]
        )
    return engine


def kept(engine: Engine) -> dict[tuple[str, str], float]:
    with engine.connect().execution_options(read_only=True) as connection:
        return {(one.score_id, one.output): one.label for one in connection.execute(select(LABELS))}


def reasons(engine: Engine) -> list[str]:
    with engine.connect().execution_options(read_only=True) as connection:
        return sorted(connection.execute(select(LABELS_ASIDE.c.reason)).scalars())


def test_a_label_joins_its_score_and_a_second_sending_changes_nothing(engine: Engine) -> None:
    labels = [Label(1, "f0", labelled_at=LATER), Label(0, "f1", labelled_at=LATER)]
    assert record_labels(engine, labels) == LabelsOutcome(joined=2)
    assert record_labels(engine, labels) == LabelsOutcome(duplicates=2)
    assert kept(engine) == {("f0", "fraud"): 1, ("f1", "fraud"): 0}


def test_an_income_is_the_label_of_every_score_of_its_month_but_of_no_simulation(engine: Engine) -> None:
    assert record_labels(engine, [Label(300_000, client_id="7", month="2026-05", labelled_at=LATER)]) == LabelsOutcome(joined=2)
    assert kept(engine) == {("i0", "income"): 300_000, ("i1", "income"): 300_000}


def test_a_score_of_several_outputs_takes_a_label_for_each(engine: Engine) -> None:
    labels = [Label(1, "p0", output=bank, labelled_at=LATER) for bank in ("bank_a", "bank_b", "bank_z")]
    assert record_labels(engine, [*labels, Label(1, "p0")]) == LabelsOutcome(joined=2, invalid=2)


def test_what_does_not_join_is_counted_and_kept_once_however_often_it_comes(engine: Engine) -> None:
    record_labels(engine, [Label(1, "f0", labelled_at=LATER)])
    bad = [
        Label(0, "f0"),  # conflicting
        Label(1, "nobody"),
        Label(1, "failed"),
        Label(1, transaction_id="T1"),
        Label(1, client_id="7", month="2026-13"),
        Label(1, client_id="8", month="9999-12"),
        Label(math.nan, "f1"),
        Label(0.5, "f1"),
        Label(-1, "i0"),
        Label(1),
    ]
    expected = LabelsOutcome(unknown=5, conflicting=1, invalid=4)
    assert record_labels(engine, bad) == expected
    assert record_labels(engine, bad) == expected
    assert kept(engine) == {("f0", "fraud"): 1}
    assert reasons(engine) == ["conflicting", *["invalid"] * 4, *["unknown"] * 5]


def test_duplicates_and_conflicts_within_one_call_are_found(engine: Engine) -> None:
    labels = [Label(1, "f2", labelled_at=LATER), Label(1, "f2"), Label(0, "f2")]
    assert record_labels(engine, labels) == LabelsOutcome(joined=1, duplicates=1, conflicting=1)


def test_a_label_older_than_its_score_joins_and_is_told_of(engine: Engine) -> None:
    assert record_labels(engine, [Label(1, "f2", labelled_at=AT - timedelta(days=1))]) == LabelsOutcome(joined=1, early=1)


def test_a_label_that_came_too_soon_joins_when_it_is_sent_again(engine: Engine) -> None:
    assert record_labels(engine, [Label(1, "late")]).unknown == 1
    with Journal(engine) as journal:
        journal.write([row("late")])
    assert record_labels(engine, [Label(1, "late", labelled_at=LATER)]) == LabelsOutcome(joined=1)


def test_more_labels_than_one_transaction_takes_all_join(engine: Engine) -> None:
    with Journal(engine) as journal:
        journal.write([row(f"many{index}") for index in range(1100)])
    outcome = record_labels(engine, [Label(index % 2, f"many{index}", labelled_at=LATER) for index in range(1100)])
    assert outcome == LabelsOutcome(joined=1100)
    assert len(kept(engine)) == 1100


def test_a_label_joins_more_scores_than_a_statement_takes_parameters(engine: Engine) -> None:
    scores = 66_000  # PostgreSQL takes 65,535
    with Journal(engine, capacity=scores) as journal:
        journal.write([row(f"busy{index}", "income", client_id="8") for index in range(scores)])
    label = Label(300_000, client_id="8", month="2026-05", labelled_at=LATER)
    assert record_labels(engine, [label]) == LabelsOutcome(joined=scores)
    assert record_labels(engine, [label]) == LabelsOutcome(duplicates=scores)
