"""Split-conformal intervals for regressions."""

import numpy as np


def conformal_half_width(labels: np.ndarray, margins: np.ndarray, coverage: float = 0.9) -> float:
    """Half width around the margin that covers `coverage` of new rows, in margin space.

    The ceil((n + 1) * coverage)-th smallest absolute residual on calibration rows.
    Source: Lei et al., Distribution-Free Predictive Inference for Regression (2018), algorithm 2.

    Raises:
        ValueError: fewer rows than the coverage needs.
    """
    residuals = np.sort(np.abs(labels - margins))
    rank = int(np.ceil((len(residuals) + 1) * coverage))
    if rank > len(residuals):
        fewest = int(1 / (1 - coverage))
        raise ValueError(f"{len(residuals)} calibration rows cannot give {coverage:.0%} intervals: at least {fewest} are needed")
    return float(residuals[rank - 1])
