"""Decision thresholds on probabilities, chosen on rows that no model was fitted on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Thresholds = Callable[[str, np.ndarray, np.ndarray], dict[str, float]]
"""Chooses the decision thresholds of an output from calibration labels and probabilities."""


@dataclass(frozen=True)
class CostMatrix:
    """What the four outcomes of a decision cost, in any one unit; a gain is a negative cost.

    Attributes:
        hit: acted on, and rightly.
        false_alarm: acted on, wrongly.
        miss: not acted on, wrongly.
        pass_: not acted on, and rightly.
    """

    hit: float
    false_alarm: float
    miss: float
    pass_: float = 0.0


def cheapest_threshold(labels: np.ndarray, probabilities: np.ndarray, costs: CostMatrix) -> float:
    """The probability from which acting is cheapest in total; ties go to the highest.

    One of the given probabilities, or just above the largest when never acting is cheapest.

    Args:
        labels: 0 or 1, shape (rows,).
        probabilities: of label 1, shape (rows,).
        costs: of the four outcomes.
    """
    order = np.argsort(-probabilities, kind="stable")
    descending = probabilities[order]
    borders = np.unique(descending)[::-1]
    positives = np.concatenate([[0.0], np.cumsum(labels[order])])
    acted = np.append(np.searchsorted(-descending, -borders, side="right"), 0)
    hits = positives[acted]
    misses, false_alarms = labels.sum() - hits, acted - hits
    passed = len(labels) - labels.sum() - false_alarms
    total = costs.hit * hits + costs.false_alarm * false_alarms + costs.miss * misses + costs.pass_ * passed
    candidates = np.append(borders, np.nextafter(borders[0], np.inf))
    return float(candidates[total == total.min()].max())


def capacity_threshold(probabilities: np.ndarray, share: float) -> float:
    """The lowest threshold that at most `share` of the rows reach; rows with equal probability stay together."""
    within = int(share * len(probabilities))
    descending = np.sort(probabilities)[::-1]
    return float(np.nextafter(descending[within], np.inf)) if within < len(descending) else float(descending[-1])


def risk_thresholds(labels: np.ndarray, probabilities: np.ndarray, costs: CostMatrix, review_capacity: float) -> dict[str, float]:
    """Thresholds of the risk levels: "medium" (ask the client) and "high" (block and review); medium <= high.

    Args:
        labels: 1 = fraud.
        probabilities: of fraud.
        costs: of asking a client, rightly (hit) or not (false alarm), and of fraud that passes (miss).
        review_capacity: share of payments that analysts can block and review; no more reach "high".
    """
    medium = cheapest_threshold(labels, probabilities, costs)
    high = capacity_threshold(probabilities, review_capacity)
    return {"medium": min(medium, high), "high": high}


def approval_threshold(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """The threshold "approve" whose decisions agree most often with what the bank decided."""
    return {"approve": cheapest_threshold(labels, probabilities, CostMatrix(hit=0, false_alarm=1, miss=1))}
