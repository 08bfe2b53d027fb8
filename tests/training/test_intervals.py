"""What intervals promise: 90 % of new rows inside, in every segment, on simulated truth."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.scorer import Scorer
from training.candidates import Budget
from training.ensemble import Workers
from training.fit import train
from training.intervals import correction, quantile_rounds
from training.split import split
from training.task import TrainingTask


def salaries(rows: int, seed: int) -> pd.DataFrame:
    """Amounts whose spread differs fivefold between sectors and grows with age: one width for all would fail."""
    rng = np.random.default_rng(seed)
    sector = rng.choice(["state", "trade", "mining"], rows)
    age = rng.uniform(20, 65, rows)
    spread = np.select([sector == "state", sector == "trade"], [0.1, 0.25], 0.5) * (age / 40)
    middle = np.select([sector == "state", sector == "trade"], [12.0, 12.5], 13.2)
    return pd.DataFrame({"sector": sector, "age": age, "income": np.exp(middle + rng.normal(0, 1, rows) * spread)})


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    folder = tmp_path_factory.mktemp("intervals") / "scorer"
    folder.mkdir()
    borders = (200_000.0, 400_000.0)
    task = TrainingTask("income", ("income",), "regression", "wmae", ("sector", "age"), positive=True, segments=borders)
    train(task, salaries(12_000, 1), folder, Budget(1, 600), 1, lambda share, sentence: None)
    return Scorer.load(folder)


def test_90_of_100_new_rows_lie_inside_overall_and_in_each_segment(scorer: Scorer) -> None:
    fresh = salaries(20_000, 2)
    low, high = scorer.interval("income", fresh)
    inside = ((low <= fresh["income"]) & (fresh["income"] <= high)).to_numpy()
    assert 0.88 <= inside.mean() <= 0.92
    interval = scorer.outputs_[0].interval
    assert interval is not None
    segments = interval.segments(scorer.predict(fresh)["income"])
    for segment in np.unique(segments):
        if (segments == segment).sum() >= 500:
            assert inside[segments == segment].mean() >= 0.87
    for sector in ("state", "trade", "mining"):
        assert inside[(fresh["sector"] == sector).to_numpy()].mean() >= 0.85


def test_intervals_are_wider_where_the_truth_is_less_certain_and_hold_the_prediction(scorer: Scorer) -> None:
    rows = pd.DataFrame({"sector": ["state", "mining"], "age": [30.0, 60.0]})
    low, high = scorer.interval("income", rows)
    predicted = scorer.predict(rows)["income"]
    assert ((low <= predicted) & (predicted <= high)).all()
    assert high[1] / low[1] > 2 * high[0] / low[0]


@given(st.integers(9, 400), st.integers(0, 2**31))
def test_the_correction_covers_its_calibration_rows(rows: int, seed: int) -> None:
    scores = np.random.default_rng(seed).normal(size=rows)
    assert np.mean(scores <= correction(scores)) >= 0.9


def test_the_search_for_rounds_keeps_its_seconds() -> None:
    task = TrainingTask("income", ("income",), "regression", "wmae", ("sector", "age"), positive=True)
    parts = split(task, salaries(2000, 1), seed=1)
    part, fold = parts.development, parts.folds[0]
    wanted = [quantile_rounds(task, part, parts.columns, fold, "income", 1, Workers(2, 1), seconds) for seconds in (60.0, 0.0)]
    assert min(wanted[0]) > 1
    assert wanted[1] == (1, 1)


def test_too_few_calibration_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 10"):
        correction(np.zeros(8))
