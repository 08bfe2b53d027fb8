"""A loss that early labels show is told while their window is open; that labels came early is never a loss by itself."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from monitoring.early import FEWEST, Early, early_labels
from monitoring.journal import Journal, JournalRow
from monitoring.labels import Label, record_labels
from monitoring.quality import Realised
from monitoring.rows import open_journal
from registry.encoding import ModelColumn
from registry.outputs import Member, Output
from registry.scorer import Scorer
from settings import Settings

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = Settings(label_maturity_days={"income": 120.0})
HOLDOUT = Realised("wmae", 20_000.0, 18_500.0, 21_500.0, 1000)
"""Of errors that are 10 % of incomes of 200,000 on average."""
Income = Callable[[np.random.Generator, int, int], float]
"""Draws what a client earns in truth, by the day of the score and the days until the label comes; stated are 200,000."""


class Constant:
    """A booster that says the same of everybody."""

    def __init__(self, amount: float) -> None:
        self.amount = amount

    def margin(self, matrix: np.ndarray) -> np.ndarray:
        return np.full(len(matrix), np.log(self.amount))

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        return np.column_stack([np.zeros((len(matrix), 1)), self.margin(matrix)])


def scorer(trained: datetime = BEGIN, amount: float = 200_000.0) -> Scorer:
    outputs = (Output("income", "log", (Member("constant", "one", 1.0),)),)
    metadata = {"trained_at": trained.isoformat()}
    return Scorer((ModelColumn("x"),), outputs, {"one": Constant(amount)}, {}, metadata, pd.DataFrame())


def lived(engine: Engine, income: Income, days: int, seed: int = 1, version: str = "1") -> None:
    """Scores of a bank, 40 a day; their labels come from 10 to 100 days later, as far as `days` days after its begin."""
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for number in range(days * 40):
        day, delay = number // 40, int(rng.integers(10, 100))
        row = JournalRow(
            use_case="income", source="api", features={"x": 1.0}, score={"income": 200_000.0}, model_version=version,
            latency_ms=1.0, client_id=str(rng.integers(0, 700)), ts=BEGIN + timedelta(days=day, seconds=number % 40),
        )  # fmt: skip
        rows.append(row)
        if day + delay <= days:
            told = row.ts + timedelta(days=delay)
            labels.append(Label(float(income(rng, day, delay)), row.score_id, labelled_at=told))
    with Journal(engine) as journal:
        journal.write(rows)
    record_labels(engine, labels)


def usual(rng: np.random.Generator, day: int, delay: int) -> float:
    return 200_000 * float(np.exp(rng.normal(0, 0.125)))


def raised_on_50(rng: np.random.Generator, day: int, delay: int) -> float:
    return usual(rng, day, delay) * (1.35 if day >= 50 else 1.0)


def harder_when_early(rng: np.random.Generator, day: int, delay: int) -> float:
    return 200_000 * float(np.exp(rng.normal(0, 0.3 if delay < 35 else 0.05)))


@pytest.fixture
def engine(database_url: str) -> Engine:
    return open_journal(Settings(database_url=database_url))


def looked(engine: Engine, day: int, version: Scorer | None = None) -> Early:
    return early_labels(engine, "income", version or scorer(), BEGIN + timedelta(days=day), 30, CONFIG)


def test_a_loss_shows_weeks_before_its_window_has_matured(engine: Engine) -> None:
    lived(engine, raised_on_50, 80)
    found = looked(engine, 80)
    assert found.loss(HOLDOUT) > 0.5
    assert found.now.rows >= FEWEST
    assert "labels as early" in found.sentence


def test_it_is_told_as_long_as_it_lasts(engine: Engine) -> None:
    lived(engine, raised_on_50, 150)
    assert looked(engine, 150).loss(HOLDOUT) > 0.5


@pytest.mark.parametrize("seed", range(3))
def test_where_nothing_changes_nothing_is_told_on_any_day(engine: Engine, seed: int) -> None:
    lived(engine, usual, 100, seed)
    assert [looked(engine, day).loss(HOLDOUT) for day in range(40, 101, 10)] == [0.0] * 7


def test_labels_that_come_early_from_clients_who_are_hard_to_predict_are_no_loss(engine: Engine) -> None:
    lived(engine, harder_when_early, 100)
    found = [looked(engine, day) for day in range(60, 101, 20)]
    assert min(one.now.value or 0.0 for one in found) > 1.5 * HOLDOUT.value  # type: ignore[operator]
    assert [one.loss(HOLDOUT) for one in found] == [0.0] * len(found)


def test_without_an_earlier_window_or_enough_labels_nothing_is_told_and_it_says_why(engine: Engine) -> None:
    assert "0 of the 50" in looked(engine, 20).sentence
    lived(engine, lambda rng, day, delay: 300_000.0, 35)
    found = looked(engine, 35)
    assert found.now.value == pytest.approx(100_000)
    assert found.loss(HOLDOUT) == 0.0
    assert "no earlier window" in found.sentence


def test_the_version_of_today_is_judged_and_not_those_that_gave_the_scores(engine: Engine) -> None:
    lived(engine, raised_on_50, 100)
    assert looked(engine, 100, scorer(amount=270_000.0)).loss(HOLDOUT) == 0.0
    assert looked(engine, 100).loss(HOLDOUT) > 0.5


def test_what_a_version_may_have_learned_from_does_not_speak_for_it(engine: Engine) -> None:
    lived(engine, raised_on_50, 100)
    trained = BEGIN + timedelta(days=90)
    all_labels, later = looked(engine, 100), looked(engine, 100, scorer(trained))
    assert FEWEST <= later.now.rows < all_labels.now.rows
    assert later.loss(HOLDOUT) > 0.5
    assert looked(engine, 100, scorer(BEGIN + timedelta(days=100))).now.rows == 0
