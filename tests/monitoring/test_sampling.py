"""Promises of the journal's sample: random whatever the ids look like, and only the drawn rows are read."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
from sqlalchemy import Engine, event

from clock import now
from database import open_database
from features.layouts import layout_of
from identifiers import new_ids
from monitoring import history
from monitoring.batches import JournalBatch
from monitoring.journal import Journal

ROWS = 4000
DAY = timedelta(days=1)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_database(database_url)
    yield engine
    engine.dispose()


def fill(engine: Engine, ids: list[str]) -> None:
    order = np.arange(ROWS, dtype="float64").reshape(-1, 1)
    batch = JournalBatch(
        "fraud", "api", layout_of(("order",)), order, "fraud", [0.0] * ROWS, ["low"] * ROWS, [None] * ROWS, ids, "3", 1.0
    )
    with Journal(engine) as journal:
        journal.write(batch)


@pytest.mark.parametrize("ids", ["ours", "numbered"])
def test_any_part_of_the_window_is_drawn_as_often_as_its_share(engine: Engine, ids: str) -> None:
    fill(engine, new_ids(ROWS) if ids == "ours" else [f"{number:08}" for number in range(ROWS)])
    means, remainders, samples = [], [], []
    with Journal(engine) as journal:
        for seed in range(40):
            drawn = journal.sample("fraud", "3", now() - DAY, now() + DAY, 400, seed).frame["feature_order"].to_numpy()
            means.append(drawn.mean())
            remainders.append((drawn % 10 == 0).mean())
            samples.append(frozenset(drawn))
    assert len(set(samples)) == 40
    assert np.mean(means) == pytest.approx((ROWS - 1) / 2, abs=4 * ROWS / np.sqrt(12 * 400 * 40))
    assert np.mean(remainders) == pytest.approx(0.1, abs=4 * 0.3 / np.sqrt(400 * 40))
    overlaps = [len(first & second) for first, second in pairwise(samples)]
    assert np.mean(overlaps) == pytest.approx(40, abs=10)


def test_neither_ids_nor_features_of_the_other_rows_are_read(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(engine, new_ids(ROWS))
    parsed: list[str] = []
    read = history._table
    monkeypatch.setattr(history, "_table", lambda texts, layouts: parsed.extend(texts) or read(texts, layouts))
    fetched: list[int] = []
    with Journal(engine) as journal:
        event.listen(engine, "after_cursor_execute", lambda *said: fetched.append(1))
        sample = journal.sample("fraud", "3", now() - DAY, now() + DAY, 50, 1)
    assert (len(sample.frame), sample.total) == (50, ROWS)
    assert len(parsed) == 50 * 3  # features, score and decision of each drawn row
    assert len(fetched) <= 4
