"""A split that cannot be learned from or judged on is refused before the search, by column, part and count."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from training.part_refusals import check_parts
from training.split import develop, split
from training.task import NotTrainable, TrainingTask

ROWS = 400
BINARY = TrainingTask("own", ("y",), "binary", "roc_auc", ("age",), time="day", table={"classes": ["no", "yes"]})
GRADES = replace(BINARY, kind="multiclass", classes=("low", "middle", "high"), table={})
AMOUNT = replace(BINARY, kind="regression", metric="rmse", table={})


def table(**columns: Any) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"age": rng.integers(18, 80, ROWS), "day": np.arange(float(ROWS)), "w": 1.0, "g": np.arange(ROWS) // 4})
    return frame.assign(y=rng.integers(0, 2, ROWS).astype(float)).assign(**columns)


LATE = np.arange(ROWS) >= 340
CALIBRATION = (np.arange(ROWS) >= 300) & ~LATE
NEAR_THE_CUT = (np.arange(ROWS) >= 299) & (np.arange(ROWS) < 337)


@pytest.mark.parametrize(
    ("task", "columns", "message"),
    [
        pytest.param(
            BINARY, {"y": np.where(LATE, 0.0, np.arange(ROWS) % 2)}, "all 60 rows to judge on .* have y = 'no'", id="old"
        ),
        pytest.param(
            BINARY, {"y": (np.arange(ROWS) >= 310).astype(float)}, "all 300 rows to learn from .* have y = 'no'", id="new"
        ),
        pytest.param(
            BINARY,
            {"y": np.where((np.arange(ROWS) >= 120) & (np.arange(ROWS) < 180), 1.0, np.arange(ROWS) % 2)},
            "all 60 rows that models are compared on in order of day have y = 'yes'",
            id="fold",
        ),
        pytest.param(
            AMOUNT, {"y": np.maximum(np.arange(ROWS), 310.0)}, "all 300 rows to learn from .* have y = 310", id="new-amount"
        ),
        pytest.param(
            AMOUNT,
            {"y": np.maximum(np.arange(ROWS), 150.0)},
            "all 120 rows that a fold learns from in order of day have y = 150",
            id="fold-amount",
        ),
        pytest.param(
            AMOUNT, {"y": np.where(LATE, 7.0, np.arange(ROWS))}, "all 60 rows to judge on .* have y = 7", id="old-amount"
        ),
        pytest.param(
            GRADES,
            {"y": np.where(np.arange(ROWS) < 150, 1.0, np.arange(ROWS) % 3)},
            "all 120 rows that a fold learns from in order of day have y = 'middle'",
            id="fold-class",
        ),
        pytest.param(
            BINARY,
            {"y": np.arange(ROWS) % 2.0, "age": [f"name {row}" for row in range(ROWS)]},
            "the only column does not vary in the 300 rows to learn from .*, where text that few rows share counts as missing",
            id="names only",
        ),
        pytest.param(
            BINARY,
            {"y": np.arange(ROWS) % 2.0, "age": np.where(np.arange(ROWS) < 200, np.nan, np.arange(ROWS))},
            "the only column does not vary in the 180 rows that a fold learns from",
            id="column of late",
        ),
        pytest.param(
            replace(AMOUNT, group="g"),
            {"y": np.arange(float(ROWS)), "g": np.where(NEAR_THE_CUT, ROWS, np.arange(ROWS))},
            "3 rows with a label y are left to calibrate intervals on, at least 10 .*, since rows of one g stay together",
            id="few for intervals",
        ),
        pytest.param(replace(BINARY, weight="w"), {"w": ~LATE * 1.0}, "column w is 0 in all 60 rows to judge on", id="w-late"),
        pytest.param(
            replace(BINARY, weight="w"), {"w": ~CALIBRATION * 1.0}, "w is 0 in all 40 rows to calibrate on", id="w-calibration"
        ),
        pytest.param(
            replace(BINARY, weight="w"),
            {"y": np.arange(ROWS) % 2.0, "w": np.arange(ROWS) % 2 == 0},
            "have y = 'no' where they have weight",
            id="w-class",
        ),
        pytest.param(replace(AMOUNT, weight="w"), {"w": ~LATE * 1.0}, "w is 0 in all 60 rows to judge on", id="w-amount"),
        pytest.param(
            replace(BINARY, time=None, group="g"),
            {"g": np.maximum(np.arange(ROWS), 340)},
            "no rows with a label y to calibrate on .* rows of one g",
            id="group",
        ),
        pytest.param(
            GRADES,
            {"y": np.where(LATE, 2.0, np.arange(ROWS) % 2)},
            "1 of 3 classes of y has no row to learn from .*: high: merge them",
            id="unseen",
        ),
        pytest.param(GRADES, {"y": np.where(LATE, 2.0, np.arange(ROWS) % 3)}, "all 60 rows to judge on .* = 'high'", id="one"),
    ],
)
def test_what_a_part_cannot_show_is_refused_with_the_remedy(task: TrainingTask, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(NotTrainable, match=message) as refusal:
        check_parts(task, split(task, table(**columns), seed=1))
    remedy = "or train without TIME=day" if task.time else "or train without GROUP=g"
    assert remedy in str(refusal.value)


@pytest.mark.parametrize(
    ("task", "columns"),
    [
        pytest.param(BINARY, {}, id="binary"),
        pytest.param(BINARY, {"y": np.where(CALIBRATION, 0.0, np.arange(ROWS) % 2)}, id="calibration of one class"),
        pytest.param(GRADES, {"y": np.where(LATE, np.arange(ROWS) % 2, np.arange(ROWS) % 3)}, id="a class that died out"),
        pytest.param(replace(AMOUNT, weight="w"), {"w": np.where(LATE, np.arange(ROWS) % 2, 1.0)}, id="some weights of 0"),
    ],
)
def test_what_every_part_can_show_is_taken(task: TrainingTask, columns: dict[str, Any]) -> None:
    check_parts(task, split(task, table(**columns), seed=1))


def test_too_few_groups_for_folds_are_refused() -> None:
    with pytest.raises(NotTrainable, match="the 400 rows to learn from lie in 4 groups of g, at least 5"):
        develop(replace(BINARY, time=None, group="g"), table(g=np.arange(ROWS) // 100), seed=1)


def test_one_group_with_most_rows_of_the_past_is_refused() -> None:
    with pytest.raises(NotTrainable, match="one group of g has over half of the 400 rows to learn from"):
        develop(replace(BINARY, group="g"), table(g=np.minimum(np.arange(ROWS), 100)), seed=1)
