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
    probability for each of `classes`).
    """

    name: str
    link: str
    members: tuple[Member, ...]
    classes: tuple[str, ...] = ()
    calibration: Calibration | ClassScaling | None = None
    interval: Interval | None = None

    @property
    def every_member(self) -> tuple[Member, ...]:
        """The members of the blend and of the interval."""
        return self.members if self.interval is None else (*self.members, self.interval.low, self.interval.high)


def read_output(stored: dict[str, Any]) -> Output:
    """An Output from its JSON form (`dataclasses.asdict` after a round trip through JSON)."""
    calibration, interval = stored["calibration"], stored["interval"]
    return Output(
        stored["name"],
        stored["link"],
        tuple(Member(**member) for member in stored["members"]),
        tuple(stored["classes"]),
        calibration and _read_calibration(calibration),
        interval
        and Interval(
            Member(**interval["low"]), Member(**interval["high"]), tuple(interval["borders"]), tuple(interval["corrections"])
        ),
    )


def _read_calibration(stored: dict[str, Any]) -> Calibration | ClassScaling:
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
