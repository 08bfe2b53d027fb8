"""Margins of one row without the libraries' overhead: for each family the ways there are, of which the quickest is measured."""

import ctypes
import time
from collections.abc import Callable, Sequence

import numpy as np

from registry.boosters import Booster, CatBoostBooster, LightGBMBooster, XGBoostBooster

RowMargin = Callable[[np.ndarray], float | np.ndarray]
"""From one encoded row, shape (1, features) float32 in C order, to its margin; for several classes shape (classes,)."""

_REPEATS = 20
_TOLERANCE = 1e-6
_FLOAT32, _ROW_MAJOR, _RAW_SCORE, _ALL_TREES = 0, 1, 1, -1  # of LightGBM's c_api.h


def quickest(booster: Booster, probes: np.ndarray) -> RowMargin:
    """The quickest way to the margin of one row among those that agree with `booster.margin` on every probe.

    Args:
        booster: a loaded native model.
        probes: encoded rows, shape (rows, features) float32, with missing values among them.
    """
    expected = np.asarray(booster.margin(probes), dtype=np.float64)
    ways = [way for way in _ways(booster, probes.shape[1]) if _agrees(way, probes, expected)]
    return min([*ways, _through_the_matrix(booster)], key=lambda way: _seconds(way, probes))


def _ways(booster: Booster, features: int) -> Sequence[RowMargin]:
    if isinstance(booster, LightGBMBooster):
        return _lightgbm_ways(booster, features)
    if isinstance(booster, XGBoostBooster):
        return [_xgboost_in_place(booster)]
    if isinstance(booster, CatBoostBooster) and not booster._categorical:
        return [_catboost_list(booster)]
    return []


def _through_the_matrix(booster: Booster) -> RowMargin:
    return lambda row: booster.margin(row)[0]


def _lightgbm_ways(booster: LightGBMBooster, features: int) -> Sequence[RowMargin]:
    """LightGBM's single-row call (LGBM_BoosterPredictForMatSingleRowFast), which keeps its configuration between calls.

    It takes microseconds, so the interpreter's lock is kept (PyDLL): giving it away would cost more than the call.
    """
    import lightgbm

    library = ctypes.PyDLL(lightgbm.basic._LIB._name)  # type: ignore[attr-defined]  # the one name it has
    native, prepared = booster._booster, ctypes.c_void_p()
    if native.num_feature() != features:  # the call would read past the row
        return []
    status = library.LGBM_BoosterPredictForMatSingleRowFastInit(
        native._handle, _RAW_SCORE, 0, _ALL_TREES, _FLOAT32, features, b"num_threads=1", ctypes.byref(prepared)
    )
    if status:
        return []
    classes = native.num_model_per_iteration()
    call, finish = library.LGBM_BoosterPredictForMatSingleRowFast, library.LGBM_FastConfigFree
    call.argtypes = [ctypes.c_void_p] * 4
    return [_LightGBMRow(native, prepared, classes, call, finish)]


class _LightGBMRow:
    """A prepared LightGBM call; keeps the model alive, and frees its configuration when it goes itself."""

    def __init__(self, native: object, prepared: ctypes.c_void_p, classes: int, call: Callable, finish: Callable) -> None:
        self._native = native
        self._prepared = prepared
        self._call = call
        self._finish = finish
        self._classes = classes
        self._room = ctypes.c_double * classes

    def __call__(self, row: np.ndarray) -> float | np.ndarray:
        margins, written = self._room(), ctypes.c_int64()
        if self._call(self._prepared, row.ctypes.data, ctypes.addressof(written), ctypes.addressof(margins)):
            raise RuntimeError("LightGBM refused the row: it has another width than the model")
        return margins[0] if self._classes == 1 else np.array(margins)

    def __del__(self) -> None:
        self._finish(self._prepared)


def _xgboost_in_place(booster: XGBoostBooster) -> RowMargin:
    native = booster._booster
    native.set_param({"nthread": 1})
    return lambda row: native.inplace_predict(row, predict_type="margin", validate_features=False)[0]


def _catboost_list(booster: CatBoostBooster) -> RowMargin:
    predict = booster._booster.predict
    return lambda row: predict(row[0].tolist(), prediction_type="RawFormulaVal", thread_count=1)


def _agrees(way: RowMargin, probes: np.ndarray, expected: np.ndarray) -> bool:
    try:
        found = np.array([way(probe) for probe in _rows(probes)], dtype=np.float64)
    except Exception:  # noqa: BLE001 - a way that fails on some version of its library is simply not taken
        return False
    return found.shape == expected.shape and np.allclose(found, expected, rtol=_TOLERANCE, atol=_TOLERANCE)


def _seconds(way: RowMargin, probes: np.ndarray) -> float:
    row = probes[:1].copy()
    way(row)
    taken = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        way(row)
        taken.append(time.perf_counter() - started)
    return min(taken)


def _rows(probes: np.ndarray) -> list[np.ndarray]:
    return [probes[index : index + 1].copy() for index in range(len(probes))]
