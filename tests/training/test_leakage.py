"""The leakage guard names columns that give the target away and columns that number rows, and leaves honest ones alone."""

import numpy as np
import pandas as pd
import pytest

from training.leakage import suspects

ROWS = 4000
RNG = np.random.default_rng(5)
RARE = (RNG.random(ROWS) < 0.02).astype("float64")
CLASSES = RNG.integers(0, 6, ROWS).astype("float64")
AMOUNTS = RNG.lognormal(10, 2, ROWS)
NOISE = RNG.normal(size=ROWS)


def found(column: object, labels: np.ndarray, kind: str) -> dict[str, str]:
    frame = pd.DataFrame({"honest": NOISE, "column": column})
    return {suspect.column: suspect.why for suspect in suspects(frame, list(frame), labels, kind, 1)}


@pytest.mark.parametrize(
    ("column", "labels", "kind"),
    [
        (RARE * 2 - 1, RARE, "binary"),
        (np.where(RARE == 1, "закрыт", "открыт"), RARE, "binary"),
        (np.where(RARE == 1, RNG.lognormal(5, 1, ROWS), 0), RARE, "binary"),
        (np.where(RARE == 1, np.nan, NOISE), RARE, "binary"),
        (pd.Series(np.where(RARE == 1, None, "есть"), dtype="str"), RARE, "binary"),
        (np.abs(RARE - 1) * 100 + (RNG.random(ROWS) < 0.0005), RARE, "binary"),
        ((CLASSES * 7) % 6, CLASSES, "multiclass"),
        (np.array(list("abcdef"))[CLASSES.astype(int)], CLASSES, "multiclass"),
        (-AMOUNTS * 0.13, AMOUNTS, "regression"),
        (np.log(AMOUNTS) + NOISE * 0.05, AMOUNTS, "regression"),
    ],
)
def test_a_column_that_gives_the_target_away_is_a_leak(column: object, labels: np.ndarray, kind: str) -> None:
    assert found(column, labels, kind) == {"column": "leak"}


@pytest.mark.parametrize(
    ("column", "labels", "kind"),
    [
        (RARE * 2 + NOISE, RARE, "binary"),
        (CLASSES + NOISE, CLASSES, "multiclass"),
        (np.log(AMOUNTS) + NOISE, AMOUNTS, "regression"),
        (np.round(AMOUNTS, 2) + NOISE, RARE, "binary"),
        (RNG.integers(0, 1500, ROWS), RARE, "binary"),
        (RNG.permutation(ROWS) * 997.0, RARE, "binary"),
    ],
)
def test_a_good_predictor_and_an_honest_number_are_no_suspects(column: object, labels: np.ndarray, kind: str) -> None:
    assert found(column, labels, kind) == {}


@pytest.mark.parametrize(
    "column",
    [
        [f"client-{row}" for row in range(ROWS)],
        np.arange(ROWS) * 17.0,
        RNG.permutation(ROWS) + 100_000.0,
        RNG.permutation(ROWS) * 1000.0 + 8e11,
    ],
)
def test_a_column_that_numbers_the_rows_is_an_id(column: object) -> None:
    assert found(column, RARE, "binary") == {"column": "id"}


def test_a_constant_is_noted_and_the_strongest_leak_comes_first() -> None:
    frame = pd.DataFrame({"always": "x", "weaker": RARE + (RNG.random(ROWS) < 0.005), "copy": RARE})
    assert [suspect.column for suspect in suspects(frame, list(frame), RARE, "binary", 1)] == ["copy", "weaker", "always"]


def test_a_column_that_repeats_another_is_named_with_it_once_and_constants_repeat_nothing() -> None:
    texts = pd.Series(np.where(NOISE > 0, "да", "нет")).where(NOISE < 1)
    nearly = np.where(np.arange(ROWS) == ROWS - 1, 0.5, NOISE)
    frame = pd.DataFrame({"n": NOISE, "t": texts, "one": 1, "also": 1, "n2": NOISE, "t2": texts, "n3": NOISE, "nearly": nearly})
    told = {one.column: one.looks_like for one in suspects(frame, list(frame), RARE, "binary", 1) if one.why != "constant"}
    assert told == {"n2": "copy of n", "t2": "copy of t", "n3": "copy of n"}


def test_the_same_seed_finds_the_same() -> None:
    frame = pd.DataFrame({"copy": RARE, "noise": NOISE})
    assert suspects(frame, list(frame), RARE, "binary", 3) == suspects(frame, list(frame), RARE, "binary", 3)
