"""What a Scorer predicts and how: links, blends of boosters, calibration of probabilities, intervals of amounts."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Member:
    """One native booster file of a blend and its convex weight in margin space."""

    family: str
    file: str
    weight: float


@dataclass(frozen=True)
class Calibration:
    """A monotone map from raw to calibrated probabilities: straight lines between knots, both axes from 0 to 1.

    Isotonic calibration is such a map by nature; beta calibration (Kull et al., Beyond sigmoids, 2017) is stored as a fine one.
    """

    method: str
    raw: tuple[float, ...]
    calibrated: tuple[float, ...]

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, any shape."""
        return np.interp(probabilities, self.raw, self.calibrated)


@dataclass(frozen=True)
class ClassScaling:
    """Calibration of several classes in margin space: the logarithm of each probability times a factor of its class, plus a shift
    of its class, and the softmax of these.

    One factor for all classes and no shifts is temperature scaling (Guo et al., On calibration of modern neural networks, 2017),
    which leaves the order of the classes in every row. With factors and shifts of their own it is vector scaling, the diagonal of
    Dirichlet calibration, which is beta calibration for several classes (Kull et al., Beyond temperature scaling, 2019).
    """

    method: str
    factors: tuple[float, ...]
    shifts: tuple[float, ...]

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, shape (…, classes) as given; each row adds up to 1."""
        return inverse_link("softmax", link("softmax", probabilities) * self.factors + self.shifts)


Map = Calibration | ClassScaling


@dataclass(frozen=True)
class Lacking:
    """The calibration of rows that have none of some columns, as those of callers who cannot give them.

    Of such rows the boosters err in another way than of complete ones: one map for both would be right for neither.

    Attributes:
        columns: positions in the matrix; a row lacks them when all of them are missing.
        calibration: of these rows, None where the raw probabilities are to stand.
    """

    columns: tuple[int, ...]
    calibration: Map | None

    def rows(self, matrix: np.ndarray) -> np.ndarray:
        """Mask of the rows that lack the columns, shape (rows,)."""
        return np.asarray(np.isnan(matrix[:, list(self.columns)]).all(axis=1))


@dataclass(frozen=True)
class Interval:
    """90 % conformalised quantile regression in margin space, Mondrian by segment of the prediction.

    `low` and `high` are the boosters of the 5 % and 95 % quantiles; `borders` (label units, ascending) cut predictions into
    len(borders) + 1 segments, each with a correction of its own that is subtracted from low and added to high.
    Source: Romano, Patterson, Candès, Conformalized Quantile Regression (2019); Vovk, Mondrian conformal predictors (2005).
    """

    low: Member
    high: Member
    borders: tuple[float, ...]
    corrections: tuple[float, ...]

    def segments(self, predictions: np.ndarray) -> np.ndarray:
        """Index of the segment of each prediction."""
        return np.searchsorted(self.borders, predictions, side="right")


@dataclass(frozen=True)
class Output:
    """One thing a Scorer predicts.

    `link` turns margins into predictions: "logit" (probability), "log" (positive amount), "identity", or "softmax" (a
    probability for each of `classes`). `calibration` is for every row, or where `lacking` says otherwise for the others.
    """

    name: str
    link: str
    members: tuple[Member, ...]
    classes: tuple[str, ...] = ()
    calibration: Map | None = None
    interval: Interval | None = None
    lacking: Lacking | None = None

    def predictions(self, margins: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Predictions from the margins of encoded rows, each row calibrated by the map for what it has.

        Args:
            margins: of the blend, shape (rows,) or (rows, classes).
            matrix: the same rows, shape (rows, features), NaN = missing.
        """
        raw = inverse_link(self.link, margins)
        complete = _mapped(self.calibration, raw)
        if self.lacking is None:
            return complete
        lacking = self.lacking.rows(matrix).reshape(-1, *[1] * (raw.ndim - 1))
        return np.where(lacking, _mapped(self.lacking.calibration, raw), complete)

    def calibration_of(self, vector: np.ndarray) -> Map | None:
        """The map for one encoded row, shape (1, features)."""
        if self.lacking is None or not self.lacking.rows(vector)[0]:
            return self.calibration
        return self.lacking.calibration

    @property
    def every_member(self) -> tuple[Member, ...]:
        """The members of the blend and of the interval."""
        return self.members if self.interval is None else (*self.members, self.interval.low, self.interval.high)


def _mapped(calibration: Map | None, raw: np.ndarray) -> np.ndarray:
    return raw if calibration is None else calibration(raw)


def read_output(stored: dict[str, Any]) -> Output:
    """An Output from its JSON form (`dataclasses.asdict` after a round trip through JSON).

    Versions that were made with one calibration for all rows have no entry `lacking`.
    """
    interval, lacking = stored["interval"], stored.get("lacking")
    return Output(
        stored["name"],
        stored["link"],
        tuple(Member(**member) for member in stored["members"]),
        tuple(stored["classes"]),
        _read_calibration(stored["calibration"]),
        interval
        and Interval(
            Member(**interval["low"]), Member(**interval["high"]), tuple(interval["borders"]), tuple(interval["corrections"])
        ),
        lacking and Lacking(tuple(lacking["columns"]), _read_calibration(lacking["calibration"])),
    )


def _read_calibration(stored: dict[str, Any] | None) -> Map | None:
    if stored is None:
        return None
    if "factors" in stored:
        return ClassScaling(stored["method"], tuple(stored["factors"]), tuple(stored["shifts"]))
    return Calibration(stored["method"], tuple(stored["raw"]), tuple(stored["calibrated"]))


def link(name: str, predictions: np.ndarray) -> np.ndarray:
    """From predictions to margins."""
    if name == "identity":
        return predictions
    if name == "log":
        return np.log(np.maximum(predictions, 1e-9))
    clipped = np.clip(predictions, 1e-15, 1 - 1e-15)
    return np.log(clipped) if name == "softmax" else np.log(clipped / (1 - clipped))


def inverse_link(name: str, margins: np.ndarray) -> np.ndarray:
    """From margins to predictions, in float64; "softmax" runs over the last axis."""
    margins = np.asarray(margins, dtype=np.float64)
    if name == "identity":
        return margins
    if name == "log":
        return np.exp(np.minimum(margins, 60.0))
    if name == "softmax":
        powers = np.exp(margins - margins.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)
    return 1 / (1 + np.exp(-margins))
