"""What may be asked for when a model of a table of one's own is trained."""

import pytest

from flows.train_table import parse

TABLE = ("--name", "churn", "--table", "clients.csv", "--target", "left", "--kind", "binary")


@pytest.mark.parametrize(
    ("given", "seconds", "trials"),
    [
        ((), 60, 1000),
        (("--seconds", "90"), 90, 1000),
        (("--trials", "20"), 86_400, 20),
        (("--trials", "20", "--seconds", ""), 86_400, 20),
        (("--trials", "20", "--seconds", "30"), 30, 20),
    ],
    ids=["nothing", "seconds", "trials", "trials-and-empty-seconds", "both"],
)
def test_a_budget_in_trials_alone_has_no_clock(given: tuple[str, ...], seconds: float, trials: int) -> None:
    asked = parse([*TABLE, *given])
    assert (asked.seconds, asked.trials) == (seconds, trials)
