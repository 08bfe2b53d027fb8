"""What the comparison of single outputs promises: a ruined one is found, and chance among several accuses none."""

import numpy as np
import pandas as pd
import pytest

from registry.holdout import Holdout
from registry.rivalry import Rivalry, rivalry

BANKS = ("bank_a", "bank_b", "bank_c", "bank_d", "bank_e")


def compared(seed: int, rows: int = 150, ruined: float = 0.0) -> Rivalry:
    """Two models that err equally at every bank, but for what is added to the errors of the new one at the last bank."""
    rng = np.random.default_rng(seed)
    labels = pd.DataFrame({bank: rng.normal(100, 10, rows) for bank in BANKS})
    new, old = ({bank: labels[bank].to_numpy() + rng.normal(0, 5, rows) for bank in BANKS} for _ in range(2))
    new["bank_e"] += ruined
    holdout = Holdout(pd.DataFrame(index=range(rows)), labels, pd.Series(np.ones(rows)), "wmae", baseline=8.0)
    return rivalry("1", holdout, new, old, margin=0.0)


def test_of_equal_models_hardly_any_output_is_called_harmed() -> None:
    accused = sum(bool(compared(seed).harmed) for seed in range(30))
    assert accused <= 3  # 1.5 are expected at most; 6 were found when each of the five outputs was tested as if it were alone


def test_a_ruined_output_is_named_alone_and_its_loss_is_in_the_interval() -> None:
    found = compared(1, ruined=6.0)
    assert list(found.harmed) == ["bank_e"]
    assert found.level == pytest.approx(0.98)
    change = found.by_output["bank_e"]
    assert change.low < change.difference < change.high < 0


def test_what_is_accepted_on_average_is_accepted_of_an_output() -> None:
    found = compared(1, ruined=6.0)
    lenient = Rivalry(found.version, found.metric, found.overall, found.by_output, found.level, accepted=5.0)
    assert lenient.harmed == {}
