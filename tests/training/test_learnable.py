"""An output without labels enough is left out of a training instead of stopping it."""

import numpy as np
import pandas as pd
import pytest

from training.learnable import learnable
from training.task import TrainingTask

ROWS = 1_000
TASK = TrainingTask("prescoring", ("bank_a", "bank_b"), "binary", "roc_auc", ("loan_amount",), time="as_of")


def forms(**labels: np.ndarray) -> pd.DataFrame:
    """Forms in order of time, a bank's decisions random unless they are given."""
    random = np.random.default_rng(3)
    decided = {bank: random.integers(0, 2, ROWS).astype(float) for bank in TASK.outputs}
    moments = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(ROWS), "h")
    return pd.DataFrame({"loan_amount": random.random(ROWS), "as_of": moments, **decided, **labels})


def only(kept: slice) -> np.ndarray:
    """Decisions of both kinds in some of the rows."""
    labels = np.full(ROWS, np.nan)
    labels[kept] = (np.arange(ROWS) % 2)[kept]
    return labels


def test_banks_with_decisions_of_both_kinds_all_along_are_learned() -> None:
    assert learnable(TASK, forms(), seed=1) == TASK


@pytest.mark.parametrize(
    "labels",
    [
        np.full(ROWS, np.nan),
        np.ones(ROWS),
        only(slice(None, None, 7)),  # 143 decisions
        only(slice(700, None)),  # nothing to learn from yet
        only(slice(None, 800)),  # nothing to judge by any more
        np.where(np.arange(ROWS) < 850, np.arange(ROWS) % 2, 1.0),  # one kind in the holdout
    ],
)
def test_a_bank_that_has_hardly_decided_is_left_out(labels: np.ndarray) -> None:
    assert learnable(TASK, forms(bank_b=labels), seed=1).outputs == ("bank_a",)
    assert learnable(TASK, forms(bank_a=labels), seed=1).outputs == ("bank_b",)


def test_a_task_none_of_whose_outputs_can_be_learned_stays_as_it_is_so_that_training_says_why() -> None:
    nothing = np.full(ROWS, np.nan)
    assert learnable(TASK, forms(bank_a=nothing, bank_b=nothing), seed=1) == TASK
