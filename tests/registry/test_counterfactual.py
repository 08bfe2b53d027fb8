"""A counterfactual is the smallest change on the grid that is really approved, whatever shape the model has."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from registry.counterfactual import Change, Lever, Refusal, counterfactuals

AMOUNT = Lever("amount", 100.0, (40.0, 60.0, 80.0, 90.0, 100.0, 110.0, 130.0), 100.0)
TERM = Lever("term", 12.0, (6.0, 9.0, 12.0, 18.0, 24.0), 12.0)


class Table:
    """A model with any probability for any pair of amount and term, and a count of how often it was asked."""

    def __init__(self, probabilities: Mapping[str, Mapping[tuple[float, float], float]]) -> None:
        self._probabilities = probabilities
        self.calls = 0

    def predict(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        self.calls += 1
        pairs = list(zip(frame["amount"], frame["amount"] / frame["instalment"], strict=True))
        return {
            output: np.array([known[round(amount), round(term)] for amount, term in pairs])
            for output, known in self._probabilities.items()
        }


def features(changes: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    """The model sees amount and instalment, so that a change of term shows only in a derived feature."""
    forms = [{"amount": 100.0, "term": 12.0, **change} for change in changes]
    frame = pd.DataFrame(forms)
    return frame.assign(instalment=frame["amount"] / frame["term"]).drop(columns="term")


def grid(seed: int) -> dict[tuple[float, float], float]:
    rng = np.random.default_rng(seed)
    return {pair: float(rng.random()) for pair in product(AMOUNT.values, TERM.values)}


def brute_force(
    known: Mapping[tuple[float, float], float], threshold: float, possible: Sequence[tuple[float, float]]
) -> float | None:
    """The size of the smallest approved change: one field if one is enough, otherwise both."""
    sizes: dict[int, list[float]] = {1: [], 2: []}
    for amount, term in possible:
        fields = (amount != 100) + (term != 12)
        if fields and known[amount, term] >= threshold:
            sizes[fields].append(abs(amount - 100) / 100 + abs(term - 12) / 12)
    return min(sizes[1] or sizes[2], default=None)


@given(st.integers(0, 2**31), st.floats(0.5, 1.0), st.floats(30, 140), st.floats(0, 30))
def test_the_smallest_change_equals_brute_force_over_the_grid(seed: int, threshold: float, most: float, shortest: float) -> None:
    known = grid(seed)
    refusal = Refusal(
        threshold,
        (AMOUNT, TERM),
        lambda changes: changes.get("amount", 100) <= most and changes.get("term", 12) >= shortest,
    )
    found = counterfactuals(Table({"bank": known}), {"bank": refusal}, features)["bank"]
    expected = brute_force(known, threshold, [(a, t) for a, t in known if a <= most and t >= shortest])
    assert (found is None) == (expected is None)
    if found is not None:
        after = {"amount": 100.0, "term": 12.0} | {change.field: change.proposed for change in found.changes}
        assert found.size == expected
        assert found.probability == known[after["amount"], after["term"]] >= threshold


def test_one_field_alone_is_preferred_to_a_smaller_change_of_both() -> None:
    known = dict.fromkeys(grid(0), 0.0) | {(90.0, 9.0): 0.9, (40.0, 12.0): 0.9}
    found = counterfactuals(Table({"bank": known}), {"bank": Refusal(0.5, (AMOUNT, TERM))}, features)["bank"]
    assert found is not None
    assert found.changes == (Change("amount", 100.0, 40.0),)


def test_both_fields_change_when_neither_alone_is_enough() -> None:
    known = dict.fromkeys(grid(0), 0.0) | {(90.0, 18.0): 0.9, (60.0, 18.0): 0.99}
    found = counterfactuals(Table({"bank": known}), {"bank": Refusal(0.5, (AMOUNT, TERM))}, features)["bank"]
    assert found is not None
    assert found.changes == (Change("amount", 100.0, 90.0), Change("term", 12.0, 18.0))


def test_several_outputs_share_two_calls_and_keep_their_own_limits() -> None:
    table = Table(
        {"easy": dict.fromkeys(grid(0), 1.0), "never": dict.fromkeys(grid(0), 0.0), "narrow": dict.fromkeys(grid(0), 1.0)}
    )
    narrow = Lever("amount", 100.0, (40.0,), 100.0)
    refusals = {
        "easy": Refusal(0.5, (AMOUNT, TERM)),
        "never": Refusal(0.5, (AMOUNT, TERM)),
        "narrow": Refusal(0.5, (narrow,)),
    }
    found = counterfactuals(table, refusals, features)
    assert table.calls == 2
    assert found["easy"] is not None
    assert found["easy"].changes == (Change("amount", 100.0, 90.0),)
    assert found["never"] is None
    assert found["narrow"] is not None
    assert found["narrow"].changes == (Change("amount", 100.0, 40.0),)


def test_nothing_to_change_means_nothing_is_scored() -> None:
    table = Table({"bank": grid(0)})
    assert counterfactuals(table, {"bank": Refusal(0.5, ())}, features) == {"bank": None}
    assert counterfactuals(table, {}, features) == {}
    assert table.calls == 0
