"""Windows of a bank for the monitoring benchmark: 35 features of every shape, some of which change by a little or a lot."""

import numpy as np
import pandas as pd

_SHAPES = ("normal", "lognormal", "heavy", "count", "flag", "gaps", "mostly zero")
_EACH = 5
FEATURES = [f"{shape.replace(' ', '_')}_{number}" for shape in _SHAPES for number in range(_EACH)]
CHANGED = [name for name in FEATURES if name.endswith(("_3", "_4"))]
"""Of every shape two features change: the third a little, the fourth a lot."""
PREDICTION = "prediction_fraud"


def columns(rows: int, rng: np.random.Generator, changed: bool) -> pd.DataFrame:
    """Features and prediction as float64, shape (rows, 36); `changed` moves those of `CHANGED`."""
    frame = {}
    for shape in _SHAPES:
        for number in range(_EACH):
            size = {3: 0.3, 4: 1.0}.get(number, 0.0) if changed else 0.0
            frame[f"{shape.replace(' ', '_')}_{number}"] = _values(shape, rows, rng, size)
    return pd.DataFrame(frame | {PREDICTION: rng.beta(1, 30, rows)})


def _values(shape: str, rows: int, rng: np.random.Generator, size: float) -> np.ndarray:
    if shape == "normal":
        return rng.normal(size, 1, rows)
    if shape == "lognormal":
        return rng.lognormal(8 + size, 0.8, rows)
    if shape == "heavy":
        return (rng.pareto(2.5, rows) + 1) * (1 + size)
    if shape == "count":
        return rng.poisson(4 * (1 + size), rows).astype("float64")
    if shape == "flag":
        return (rng.random(rows) < 0.2 + 0.3 * size).astype("float64")
    if shape == "gaps":
        return np.where(rng.random(rows) < 0.3, np.nan, rng.normal(size, 1, rows))
    return np.where(rng.random(rows) < 0.9 - 0.4 * size, 0.0, rng.lognormal(5, 1, rows))
