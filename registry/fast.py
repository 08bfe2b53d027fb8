"""Scoring without data frames: one row in microseconds, many from a ready matrix; the numbers are those of `Scorer.predict`."""

from collections.abc import Callable, Mapping, Sequence
from math import exp

import numpy as np

from registry.encoding import ModelColumn, encode
from registry.fast_engines import RowMargin, quickest
from registry.outputs import Output
from registry.scorer import Scorer

_PROBES = 16


class FastScorer:
    """A Scorer prepared for requests; safe to share between threads.

    Making one measures, for each booster, the ways to the margin of one row that agree with the library's own prediction, and
    keeps the quickest: some tens of milliseconds, so it is done where the model is loaded.

    Attributes:
        columns: names of the features, in the order of `vector` and `matrix`.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.columns = scorer.columns
        self._outputs, self._boosters = scorer.outputs_, scorer.boosters
        codes = [_codes(column) for column in scorer.columns_]
        self._categories = tuple((index, known) for index, known in enumerate(codes) if known is not None)
        probes = _probes(scorer)
        files = {member.file for output in scorer.outputs_ for member in output.members}
        self._margins: dict[str, RowMargin] = {name: quickest(scorer.boosters[name], probes) for name in files}

    def vector(self, values: Sequence[object]) -> np.ndarray:
        """One encoded row, shape (1, features) float32, from values in column order; None, NaN, unknown categories: missing."""
        if self._categories:
            coded = list(values)
            for index, codes in self._categories:
                coded[index] = codes.get(str(values[index])) if _given(values[index]) else None
            values = coded
        return np.array([values], dtype=np.float32)

    def predict_one(self, vector: np.ndarray) -> dict[str, float | np.ndarray]:
        """Predictions of one encoded row by output: a number, for classes an array of shape (classes,)."""
        margins = {name: margin(vector) for name, margin in self._margins.items()}
        predictions = {}
        for output in self._outputs:
            margin = sum(member.weight * margins[member.file] for member in output.members)
            predictions[output.name] = (
                output.predictions(np.asarray(margin)[None], vector)[0]
                if output.classes
                else _number(output, float(margin), vector)
            )
        return predictions

    def predict(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        """Predictions by output for encoded rows, shape (rows, features) float32, as `Scorer.predict` gives them."""
        margins = {name: np.asarray(self._boosters[name].margin(matrix), dtype=np.float64) for name in self._margins}
        return {
            output.name: output.predictions(
                np.sum([member.weight * margins[member.file] for member in output.members], axis=0), matrix
            )
            for output in self._outputs
        }


def _codes(column: ModelColumn) -> Mapping[str, int] | None:
    return None if column.vocabulary is None else {value: code for code, value in enumerate(column.vocabulary)}


def _given(value: object) -> bool:
    return value is not None and value == value  # NaN alone differs from itself


def _probes(scorer: Scorer) -> np.ndarray:
    """Rows of the reference sample; of every second one, another third of the values is missing."""
    probes = encode(scorer.reference.head(_PROBES), scorer.columns_)
    if not len(probes):
        probes = np.zeros((_PROBES, len(scorer.columns)), dtype=np.float32)
    for start in range(3):
        probes[1 + 2 * start :: 6, start::3] = np.nan
    return probes


def _number(output: Output, margin: float, vector: np.ndarray) -> float:
    """`Output.predictions` of one row that is a number, with as few arrays as can be."""
    raw, calibration = _INVERSE_LINKS[output.link](margin), output.calibration_of(vector)
    return raw if calibration is None else float(calibration(np.asarray(raw)))


def _logistic(margin: float) -> float:
    if margin > 0:
        return 1 / (1 + exp(-margin))
    power = exp(margin)
    return power / (1 + power)


_INVERSE_LINKS: Mapping[str, Callable[[float], float]] = {
    "identity": lambda margin: margin,
    "log": lambda margin: exp(min(margin, 60.0)),
    "logit": _logistic,
}
