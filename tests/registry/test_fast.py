"""One-row scoring without data frames gives what `Scorer.predict` gives."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import catboost
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost

from registry import fast_engines
from registry.boosters import FAMILIES, SUFFIXES, catboost_frame
from registry.encoding import ModelColumn, encode, learn_columns
from registry.fast import FastScorer
from registry.outputs import Calibration, ClassScaling, Lacking, Member, Output
from registry.scorer import REFERENCE, Scorer, category_positions, write_manifest

LEARNED, ASKED, TREES = 600, 150, 25
CITIES = ["Алматы", "Астана", "Шымкент"]
BLENDS = {family: {family: 1.0} for family in FAMILIES} | {"blend": dict(zip(FAMILIES, (0.5, 0.3, 0.2), strict=True))}


def rows(seed: int, count: int = ASKED, strange: bool = False) -> pd.DataFrame:
    """Random rows, a fifth of the values missing; `strange` ones also have cities that training never saw."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({f"x{index}": rng.lognormal(3, 2, count) for index in range(6)})
    frame["city"] = rng.choice([*CITIES, "Berlin", "nan", ""] if strange else CITIES, count)
    frame["count"] = rng.integers(0, 5, count).astype(float)
    return frame.mask(rng.random(frame.shape) < 0.2)


def fit(family: str, matrix: np.ndarray, labels: np.ndarray, classes: int, categories: list[int], path: Path) -> None:
    """Train a small native model and save it."""
    if family == "lightgbm":
        parameters = {"objective": "multiclass", "num_class": classes} if classes else {"objective": "binary"}
        data = lightgbm.Dataset(matrix, labels, categorical_feature=categories)
        lightgbm.train(parameters | {"verbose": -1, "num_threads": 1}, data, TREES).save_model(path)
    elif family == "xgboost":
        types = ["c" if index in categories else "q" for index in range(matrix.shape[1])]
        data = xgboost.DMatrix(matrix, labels, feature_types=types, enable_categorical=True)
        parameters = {"objective": "multi:softprob", "num_class": classes} if classes else {"objective": "binary:logistic"}
        xgboost.train(parameters | {"nthread": 1}, data, TREES).save_model(path)
    else:
        pool = catboost.Pool(catboost_frame(matrix, categories), labels, cat_features=categories)
        loss = "MultiClass" if classes else "Logloss"
        parameters = {"iterations": TREES, "loss_function": loss, "verbose": 0, "thread_count": 1, "allow_writing_files": False}
        catboost.train(pool, parameters).save_model(str(path))


def seal(folder: Path, families: dict[str, float], classes: int, names: list[str]) -> Scorer:
    """A Scorer of the given blend, trained on random rows; with a calibration map, and another of rows without x0 and x1."""
    frame = rows(1, LEARNED)
    columns = learn_columns(frame, names)
    matrix, categories = encode(frame, columns), category_positions(columns)
    signal = np.nan_to_num(np.log(frame["x0"]), nan=3) + (frame["city"] == "Астана") * 2
    labels = np.digitize(signal, [2.5, 4.5] if classes else [3.5]).astype(float)
    members = []
    for family, weight in families.items():
        fit(family, matrix, labels, classes, categories, folder / f"{family}{SUFFIXES[family]}")
        members.append(Member(family, f"{family}{SUFFIXES[family]}", weight))
    named = tuple(f"class {index}" for index in range(classes))
    of_two = Calibration("isotonic", (0.0, 0.4, 1.0), (0.0, 0.1, 1.0))
    calibration = ClassScaling("vector", (0.5, 0.6, 0.7), (0.3, 0.0, -0.3)) if classes else of_two
    lacking = Lacking((0, 1), ClassScaling("temperature", (2.0,) * 3, (0.0,) * 3) if classes else None)
    frame[names].to_parquet(folder / REFERENCE)
    output = Output("label", "softmax" if classes else "logit", tuple(members), named, calibration, lacking=lacking)
    write_manifest(folder, columns, (output,), {}, {"use_case": "any"})
    return Scorer.load(folder)


NUMBERS = [*(f"x{index}" for index in range(6)), "count"]


@pytest.fixture(
    scope="module",
    params=[(blend, classes, mixed) for blend in BLENDS for classes in (0, 3) for mixed in (False, True)],
    ids=lambda given: f"{given[0]}-{given[1] or 'binary'}-{'categories' if given[2] else 'numbers'}",
)
def scorer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    blend, classes, mixed = request.param
    return seal(tmp_path_factory.mktemp("fast"), BLENDS[blend], classes, [*NUMBERS, "city"] if mixed else NUMBERS)


def values(frame: pd.DataFrame, scorer: Scorer) -> list[list[object]]:
    """Rows as requests bring them: Python values in column order, None for missing."""
    return frame[list(scorer.columns)].astype(object).where(frame.notna(), None).to_numpy().tolist()


def test_one_row_is_scored_as_in_a_data_frame(scorer: Scorer) -> None:
    fast, frame = FastScorer(scorer), rows(2, strange=True)
    expected = scorer.predict(frame)["label"]
    found = np.array([fast.predict_one(fast.vector(row))["label"] for row in values(frame, scorer)])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_many_rows_are_scored_as_in_a_data_frame(scorer: Scorer) -> None:
    fast, frame = FastScorer(scorer), rows(3, strange=True)
    matrix = np.concatenate([fast.vector(row) for row in values(frame, scorer)])
    np.testing.assert_allclose(fast.predict(matrix)["label"], scorer.predict(frame)["label"], rtol=0, atol=1e-6)


def test_a_row_is_encoded_as_in_a_data_frame(scorer: Scorer) -> None:
    fast, frame = FastScorer(scorer), rows(4, strange=True)
    matrix = np.concatenate([fast.vector(row) for row in values(frame, scorer)])
    np.testing.assert_array_equal(matrix, encode(frame, scorer.columns_))


def test_nan_is_missing_even_where_a_category_is_called_nan(tmp_path: Path) -> None:
    scorer = seal(tmp_path, BLENDS["lightgbm"], 0, NUMBERS)
    named = Scorer((*scorer.columns_[:-1], ModelColumn("count", ("nan", "None"))), *list(vars(scorer).values())[1:])
    fast = FastScorer(named)
    assert np.isnan(fast.vector([1.0] * 6 + [float("nan")])[0, -1])
    assert np.isnan(fast.vector([1.0] * 6 + [None])[0, -1])
    assert fast.vector([1.0] * 6 + ["nan"])[0, -1] == 0


def test_threads_that_share_a_scorer_do_not_mix_their_rows(scorer: Scorer) -> None:
    fast, frame = FastScorer(scorer), rows(5, 2 * ASKED)
    asked = [fast.vector(row) for row in values(frame, scorer)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda vector: fast.predict_one(vector)["label"], asked))
    np.testing.assert_allclose(np.array(found), scorer.predict(frame)["label"], rtol=0, atol=1e-6)


def test_a_way_that_disagrees_with_the_library_is_never_taken(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(booster: object, features: int) -> list[Callable[[np.ndarray], float]]:
        return [lambda row: 1e-3]

    monkeypatch.setattr(fast_engines, "_ways", wrong)
    test_one_row_is_scored_as_in_a_data_frame(scorer)
