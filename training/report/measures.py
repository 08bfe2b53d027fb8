"""The tables behind a report's pictures: calibration, gains, thresholds, errors by decile, coverage by segment."""

import numpy as np
import pandas as pd

from training.calibration import squared_errors
from training.thresholds import CostMatrix

RARE = 0.05
"""Below this share of positives an event counts as rare: bins and axes then look closer at the highest predictions."""

_RARE_SHARES = np.array([0, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 1])
_FEWEST_IN_BIN = 30
_FLAGGED_SHARES = np.array([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7])
_FEWEST_FLAGGED = 10


def brier(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean of `training.calibration.squared_errors`; 0 is perfect."""
    return float(np.mean(squared_errors(labels, probabilities)))


def calibration(labels: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """Mean predicted and observed rate in bins of the prediction, with 90 % Wilson bounds of the observed.

    Tenths of the rows, fewer where a bin would hold fewer than 30; finer ones at the top where the event is rare.

    Returns:
        rows, predicted, observed, low, high; one row per bin, predictions ascending.
    """
    if labels.mean() < RARE:
        shares = _RARE_SHARES[:-1][np.diff(_RARE_SHARES) * len(labels) >= _FEWEST_IN_BIN]
    else:
        shares = np.arange(0, 1, 1 / np.clip(len(labels) // _FEWEST_IN_BIN, 1, 10))
    inner = np.unique(np.quantile(probabilities, shares[1:]))
    bins = np.searchsorted(inner, probabilities, side="right")
    table = (
        pd.DataFrame({"bin": bins, "predicted": probabilities, "observed": labels})
        .groupby("bin")
        .agg(rows=("observed", "size"), predicted=("predicted", "mean"), observed=("observed", "mean"))
    )
    low, high = _wilson(table["observed"].to_numpy(), table["rows"].to_numpy())
    return table.assign(low=low, high=high).reset_index(drop=True)


def _wilson(shares: np.ndarray, rows: np.ndarray, z: float = 1.6449) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of a share (Wilson, 1927)."""
    centre = (shares + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z / (1 + z**2 / rows) * np.sqrt(shares * (1 - shares) / rows + z**2 / (4 * rows**2))
    return centre - half, centre + half


def calibration_error(table: pd.DataFrame) -> float:
    """Expected calibration error of a `calibration` table: mean |predicted − observed|, bins weighted by rows."""
    return float(np.average((table["predicted"] - table["observed"]).abs(), weights=table["rows"]))


def gains(labels: np.ndarray, predictions: np.ndarray, points: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Share of all positives among the rows with the highest predictions, by share of rows taken; both run from 0 to 1."""
    caught = np.cumsum(labels[np.argsort(-predictions, kind="stable")])
    taken = np.unique(np.linspace(0, len(labels), points + 1).round().astype(int))
    return taken / len(labels), np.append(0.0, caught)[taken] / max(caught[-1], 1.0)


def captured(labels: np.ndarray, predictions: np.ndarray, share: float) -> float:
    """Share of all positives among the `share` of rows with the highest predictions."""
    taken = max(1, round(share * len(labels)))
    return float(labels[np.argsort(-predictions, kind="stable")[:taken]].sum() / max(labels.sum(), 1.0))


def thresholds(labels: np.ndarray, probabilities: np.ndarray, stored: dict[str, float], costs: CostMatrix) -> pd.DataFrame:
    """What acting from a threshold upwards gives, at stored thresholds and at those that flag round shares of the rows.

    Returns:
        threshold, name (of a stored one), flagged (share of rows), precision, recall, and false_alarms, missed and cost per
        1,000 rows; thresholds descending.
    """
    shares = _FLAGGED_SHARES[_FLAGGED_SHARES * len(labels) >= _FEWEST_FLAGGED]
    spread = {float(value): "" for value in np.quantile(probabilities, 1 - shares, method="higher")}
    named = spread | {value: name for name, value in stored.items()}
    rows = [_at(threshold, name, labels, probabilities, costs) for threshold, name in named.items()]
    return pd.DataFrame(rows).sort_values("threshold", ascending=False, ignore_index=True)


def _at(threshold: float, name: str, labels: np.ndarray, probabilities: np.ndarray, costs: CostMatrix) -> dict[str, float | str]:
    flagged = probabilities >= threshold
    hits, count, positives = float(labels[flagged].sum()), int(flagged.sum()), float(labels.sum())
    alarms, missed = count - hits, positives - hits
    passed = len(labels) - count - missed
    total = costs.hit * hits + costs.false_alarm * alarms + costs.miss * missed + costs.pass_ * passed
    return {
        "threshold": threshold,
        "name": name,
        "flagged": count / len(labels),
        "precision": hits / count if count else np.nan,
        "recall": hits / positives if positives else np.nan,
        "false_alarms": 1000 * alarms / len(labels),
        "missed": 1000 * missed / len(labels),
        "cost": 1000 * total / len(labels),
    }


def errors_by_decile(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> pd.DataFrame:
    """By decile of the prediction: rows, mean prediction and label, weighted mean absolute error, spread of the residual.

    Returns:
        rows, predicted, label, wmae, and the 10 %, 50 % and 90 % points of label − prediction (low, middle, high).
    """
    residuals = labels - predictions
    frame = pd.DataFrame({"predicted": predictions, "label": labels, "weight": weights})
    frame = frame.assign(
        decile=np.searchsorted(decile_borders(predictions), predictions, side="right"),
        residual=residuals,
        loss=np.abs(residuals) * weights,
    )
    by = frame.groupby("decile")
    spread = by["residual"].quantile(np.array([0.1, 0.5, 0.9])).unstack().set_axis(["low", "middle", "high"], axis=1)
    table = by.agg(rows=("label", "size"), predicted=("predicted", "mean"), label=("label", "mean"))
    return table.assign(wmae=by["loss"].sum() / by["weight"].sum()).join(spread).reset_index(drop=True)


def decile_borders(values: np.ndarray) -> np.ndarray:
    """Where the second to the tenth decile begin; fewer where many values are equal."""
    return np.unique(np.quantile(values, np.arange(0.1, 1, 0.1)))


def coverage(predictions: np.ndarray, covered: np.ndarray, widths: np.ndarray, borders: tuple[float, ...]) -> pd.DataFrame:
    """Coverage and median width of intervals by segment of the prediction; without borders by decile.

    Returns:
        low, high (borders of the segment, infinite at the ends), rows, share (covered), width; ascending, no empty segment.
    """
    inner = np.asarray(borders) if borders else decile_borders(predictions)
    edges = np.concatenate([[-np.inf], inner, [np.inf]])
    segment = np.searchsorted(inner, predictions, side="right")
    frame = pd.DataFrame({"segment": segment, "covered": covered, "width": widths})
    by = frame.groupby("segment").agg(rows=("covered", "size"), share=("covered", "mean"), width=("width", "median"))
    return by.assign(low=edges[by.index], high=edges[by.index + 1])


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts, shape (classes, classes): true class by row, predicted class by column."""
    table = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(table, (labels.astype(int), predicted.astype(int)), 1)
    return table
