"""The three boosting libraries behind one small interface: load a native file, margins, exact contributions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

FAMILIES = ("xgboost", "lightgbm", "catboost")
SUFFIXES = {"xgboost": ".ubj", "lightgbm": ".txt", "catboost": ".cbm"}


class Booster(Protocol):
    """A trained ensemble of trees over an encoded matrix (rows, features) of float32, missing = NaN."""

    def margin(self, matrix: np.ndarray) -> np.ndarray:
        """Raw scores before the link, shape (rows,), for several classes (rows, classes)."""

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """Exact TreeSHAP values in margin space, shape (rows, features + 1); the last column is the baseline.

        For several classes (rows, classes, features + 1).
        """


class XGBoostBooster:
    """An XGBoost model read from its UBJSON file."""

    def __init__(self, path: Path, categorical: list[int]) -> None:
        import xgboost

        self._library = xgboost
        self._booster = xgboost.Booster(model_file=str(path))
        self._types = ["c" if index in categorical else "q" for index in range(self._booster.num_features())]

    def margin(self, matrix: np.ndarray) -> np.ndarray:
        return self._booster.predict(self._matrix(matrix), output_margin=True)

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        return self._booster.predict(self._matrix(matrix), pred_contribs=True)

    def _matrix(self, matrix: np.ndarray) -> Any:
        return self._library.DMatrix(matrix, feature_types=self._types, enable_categorical=True, nthread=1)


class LightGBMBooster:
    """A LightGBM model read from its text file."""

    def __init__(self, path: Path, _categorical: list[int]) -> None:
        import lightgbm

        self._booster = lightgbm.Booster(model_file=str(path))

    def margin(self, matrix: np.ndarray) -> np.ndarray:
        return np.asarray(self._booster.predict(matrix, raw_score=True, num_threads=1))

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        flat = np.asarray(self._booster.predict(matrix, pred_contrib=True, num_threads=1))
        width = matrix.shape[1] + 1
        return flat if flat.shape[1] == width else flat.reshape(len(matrix), -1, width)


class CatBoostBooster:
    """A CatBoost model read from its binary file."""

    def __init__(self, path: Path, categorical: list[int]) -> None:
        import catboost

        self._library = catboost
        self._categorical = categorical
        self._booster = catboost.CatBoost().load_model(str(path))

    def margin(self, matrix: np.ndarray) -> np.ndarray:
        return self._booster.predict(self._pool(matrix), prediction_type="RawFormulaVal", thread_count=1)

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        return self._booster.get_feature_importance(self._pool(matrix), type="ShapValues", thread_count=1)

    def _pool(self, matrix: np.ndarray) -> Any:
        return self._library.Pool(catboost_frame(matrix, self._categorical), cat_features=self._categorical)


def catboost_frame(matrix: np.ndarray, categorical: list[int]) -> np.ndarray | pd.DataFrame:
    """The encoded matrix as CatBoost takes it: category codes as whole numbers, a missing category as -1."""
    if not categorical:
        return matrix
    frame = pd.DataFrame(matrix)
    for index in categorical:
        frame[index] = frame[index].fillna(-1).astype(np.int32)
    return frame


_LOADERS: dict[str, Callable[[Path, list[int]], Booster]] = {
    "xgboost": XGBoostBooster,
    "lightgbm": LightGBMBooster,
    "catboost": CatBoostBooster,
}


def load_booster(family: str, path: Path, categorical: list[int]) -> Booster:
    """Read a native model file of `family`; `categorical` are the positions of category columns.

    Raises:
        KeyError: the family is not one of `FAMILIES`.
    """
    return _LOADERS[family](path, categorical)
