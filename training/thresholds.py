"""Decision thresholds on probabilities, chosen on rows that no model was fitted on."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ReviewCosts:
    """What handling risk costs, in units of one question to a client.

    Attributes:
        missed_fraud: loss when a fraudulent payment passes.
        review_capacity: share of payments that analysts can block and review.
    """

    missed_fraud: float = 60.0
    review_capacity: float = 0.004


def risk_thresholds(labels: np.ndarray, probabilities: np.ndarray, costs: ReviewCosts) -> dict[str, float]:
    """Thresholds of the risk levels: "medium" (ask the client) and "high" (block and review).

    "medium" is the threshold with the least total cost, where each payment at or above it costs one question and each fraud below
    it costs `missed_fraud`; at or above "high" lie as many payments as the review capacity takes, never more.
    high >= medium always.
    """
    order = np.argsort(-probabilities)
    caught = np.cumsum(labels[order])
    cost = np.arange(1, len(order) + 1) + costs.missed_fraud * (labels.sum() - caught)
    medium = float(probabilities[order][int(np.argmin(cost))])
    within_capacity = int(costs.review_capacity * len(order))
    high = float(np.nextafter(probabilities[order][within_capacity], np.inf))
    return {"medium": min(medium, high), "high": high}


def approval_threshold(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """The threshold "approve" whose decisions agree most often with what the bank decided; ties go to the lowest."""
    order = np.argsort(-probabilities)
    approved_right = np.cumsum(labels[order])
    declined_right = (1 - labels).sum() - np.cumsum(1 - labels[order])
    best = int(np.argmax(approved_right + declined_right))
    return {"approve": float(probabilities[order][best])}
