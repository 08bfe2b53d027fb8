"""Noise: integer vectors through OpenDP's discrete Gaussian mechanism, and what that costs.

zCDP and its conversion to (epsilon, delta) are those of Bun and Steinke, "Concentrated Differential Privacy" (2016).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from opendp.domains import atom_domain, vector_domain  # the prelude would load scikit-learn, which takes the service seconds
from opendp.measurements import make_gaussian
from opendp.metrics import l2_distance
from opendp.mod import Measurement, enable_features

enable_features("contrib")

DELTA = 1e-6
SUPPRESSION_DEVIATIONS = 4
_MARGIN = 1 + 1e-9
"""The scale is widened by this much, so that OpenDP's outward rounding never finds more rho spent than was meant."""


class PrivacyNotKept(Exception):
    """The figures or the mechanism do not keep what would be declared: nothing may be released."""


@dataclass(frozen=True)
class Noised:
    """A vector after the mechanism: noise of this standard deviation was added to every number, at this zCDP cost."""

    values: list[int]
    standard_deviation: float
    rho: float

    def array(self, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The values as numbers to calculate on."""
        return np.array(self.values, dtype=float).reshape(shape)


def noised(values: Sequence[int], sensitivity_squared: int, rho: float) -> Noised:
    """`values` with discrete Gaussian noise such that one client costs at most `rho`.

    Args:
        values: exact integers, at least one.
        sensitivity_squared: square of the largest L2 change that adding or removing one client can make to `values`; the caller
            has to have bounded and clamped every client, because OpenDP takes its word for it.
        rho: zCDP to spend.

    Raises:
        PrivacyNotKept: the mechanism would cost more than `rho`.
    """
    mechanism, scale, spent = _mechanism(len(values), sensitivity_squared, rho)
    if spent > rho:
        raise PrivacyNotKept(f"the mechanism would cost rho {spent}, which is more than {rho}")
    return Noised([int(value) for value in mechanism(list(values))], scale, spent)


@lru_cache(maxsize=256)
def _mechanism(size: int, sensitivity_squared: int, rho: float) -> tuple[Measurement, float, float]:
    """OpenDP's mechanism, its scale and the zCDP it costs; kept, because building it takes longer than drawing the noise."""
    sensitivity = math.nextafter(math.sqrt(sensitivity_squared), math.inf)
    scale = sensitivity / math.sqrt(2 * rho) * _MARGIN
    domain = vector_domain(atom_domain(T="i64"), size=size)
    mechanism = make_gaussian(domain, l2_distance(T="f64"), scale=scale)
    return mechanism, scale, mechanism.map(sensitivity)


def epsilon(rho: float, delta: float = DELTA) -> float:
    """The epsilon at `delta` that `rho`-zCDP implies (Bun and Steinke 2016, proposition 1.3)."""
    return rho + 2 * math.sqrt(rho * math.log(1 / delta))


def suppression_threshold(fewest_clients: int, standard_deviation: float) -> float:
    """A cell is shown if its noised number of clients reaches this: `fewest_clients` with a margin of 4 standard deviations."""
    return fewest_clients + SUPPRESSION_DEVIATIONS * standard_deviation
