"""The metrics that models are selected, gated and reported by."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score


@dataclass(frozen=True)
class Metric:
    """A figure of merit: `score(labels, predictions, weights)`, and whether greater is better."""

    title: str
    greater_is_better: bool
    score: Callable[[np.ndarray, np.ndarray, np.ndarray], float]

    def better(self, first: float, second: float) -> bool:
        """Whether `first` is strictly better than `second`."""
        return first > second if self.greater_is_better else first < second

    def loss(self, candidate: float, current: float) -> float:
        """How much worse `candidate` is than `current`, relative to `current`; negative when better."""
        difference = current - candidate if self.greater_is_better else candidate - current
        return difference / max(abs(current), 1e-12)


def wmae(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> float:
    """Weighted mean absolute error, sum(w |y - p|) / sum(w), in the units of the label."""
    return float(np.sum(weights * np.abs(labels - predictions)) / np.sum(weights))


def _rmse(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> float:
    return float(np.sqrt(np.sum(weights * (labels - predictions) ** 2) / np.sum(weights)))


def _pr_auc(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> float:
    return _over_classes(average_precision_score, labels, predictions, weights)


def _roc_auc(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> float:
    return _over_classes(roc_auc_score, labels, predictions, weights)


def _over_classes(score: Callable[..., float], labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> float:
    """A binary metric; for predictions (rows, classes) its mean over the classes that occur, each against the rest."""
    if predictions.ndim == 1:
        return float(score(labels, predictions, sample_weight=weights))
    occurring = [code for code in range(predictions.shape[1]) if 0 < np.count_nonzero(labels == code) < len(labels)]
    return float(np.mean([score(labels == code, predictions[:, code], sample_weight=weights) for code in occurring]))


def _log_loss(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> float:
    classes = range(2 if predictions.ndim == 1 else predictions.shape[1])
    return float(log_loss(labels, predictions, sample_weight=weights, labels=list(classes)))


METRICS = {
    "wmae": Metric("WMAE", False, wmae),
    "rmse": Metric("RMSE", False, _rmse),
    "pr_auc": Metric("PR-AUC", True, _pr_auc),
    "roc_auc": Metric("ROC-AUC", True, _roc_auc),
    "log_loss": Metric("log loss", False, _log_loss),
}
"""Every metric by name."""


def naive_score(metric: Metric, labels: np.ndarray, weights: np.ndarray, train: np.ndarray, train_weights: np.ndarray) -> float:
    """The metric of a constant predictor learned on `train`: its weighted median for amounts, its rate for probabilities."""
    if metric.title in {"WMAE", "RMSE"}:
        constant = weighted_median(train, train_weights)
    else:
        constant = float(np.average(train, weights=train_weights))
    return metric.score(labels, np.full(len(labels), constant), weights)


def naive_class_score(
    metric: Metric, labels: np.ndarray, weights: np.ndarray, train: np.ndarray, train_weights: np.ndarray, classes: int
) -> float:
    """The metric of a predictor that gives every row the class shares of `train`; labels are class codes."""
    shares = np.bincount(train.astype(int), train_weights, minlength=classes) / train_weights.sum()
    return metric.score(labels, np.tile(np.clip(shares, 1e-9, 1), (len(labels), 1)), weights)


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """The value at which half of the weight lies below."""
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulative, cumulative[-1] / 2)])
