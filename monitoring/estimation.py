"""What a metric of probabilities will turn out to be, before the labels come: confidence-based estimation.

It learns on labelled rows how far probabilities can be believed, carries that to the rows of a window whose features may have
shifted, and draws what the labels could be; the interval holds 90 % of the metrics of these draws. It presumes that labels
depend on the features as before: where that changes, the check against the newest labelled rows says so once there are some.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from monitoring.density import density_ratio
from monitoring.map_draws import drawn_probabilities
from monitoring.recalibration import LEAST, recalibrate
from registry.metrics import Metric
from registry.resampling import reweighted

FEWEST_LABELLED = 200
FEWEST_PER_CLASS = 20
FEWEST_ROWS = 30
LEVELS = (0.05, 0.95)
_WIDER = 1.5
"""How much wider than nine in ten draws an interval is. In banks in which nothing is shifted, nine in ten draws held the
truth on nine days in ten of all banks together, but on nearly all days of one and on one in ten of another: which campaigns
the labelled weeks happened to have is the same on every day. So much wider, nine in ten days are held in nearly every bank
(python -m bench.fraud_estimates)."""
_DRAWS = 500
"""Of fewer draws the bounds differ from one seed to the next as much as the estimate of one day from that of the next."""


@dataclass(frozen=True)
class Estimated:
    """A metric expected of a window, with the 90 % interval that the realised one should fall in; `rows` of the window."""

    metric: str
    value: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class NotEstimable:
    """Why no estimate can be trusted, in words."""

    reason: str


@dataclass(frozen=True)
class Rows:
    """Scores as an estimator takes them; those with labels in order of time, where they have an order.

    Attributes:
        matrix: encoded features that the rows are compared by, shape (rows, features), NaN = missing.
        predictions: by output, shape (rows,).
        labels: by output, NaN = none; empty for a window without labels.
        clients: a number from 0 for each row's client, shape (rows,).
    """

    matrix: np.ndarray
    predictions: Mapping[str, np.ndarray]
    labels: Mapping[str, np.ndarray]
    clients: np.ndarray


def expected_metric(metric: Metric, name: str, known: Rows, window: Rows, seed: int) -> Estimated | NotEstimable:
    """The expected metric of probabilities, averaged over the outputs.

    Labels of a client are drawn together over the rows and the outputs (one uniform number for all), as if banks agreed on a
    client as far as they can and a stranger in an account made all its payments: independent draws would make the interval too
    narrow.
    Source: confidence-based performance estimation, Białek et al., Estimating Model Performance under Covariate Shift (2024),
    with a smooth map weighted by the ratio of densities instead of bins, so that its uncertainty can be drawn as well.
    """
    rows = len(window.matrix)
    unfit = _unfit(known, rows) or _miscalibrated(known, window)
    if unfit:
        return NotEstimable(unfit)
    rng = np.random.default_rng(seed)
    weights = density_ratio(known.matrix, window.matrix, seed)
    uniform = rng.random((_DRAWS, int(window.clients.max()) + 1))[:, window.clients]
    drawn = []
    for output, stated in window.predictions.items():
        learned, truth, labelled = _labelled(known, output)
        score = _both_ways(metric, stated)
        maps = drawn_probabilities(learned, truth, known.clients[labelled], weights[labelled], stated, _DRAWS, rng)
        could_be = [chance < probability for chance, probability in zip(uniform, maps, strict=True)]
        rarer = _expected_of_rarer(could_be)
        if rarer < FEWEST_PER_CLASS:
            return NotEstimable(
                f"of the {rows} scores in the window, {int(rarer)} are to be expected in the rarer class of {output}: of fewer "
                f"than {FEWEST_PER_CLASS}, luck decides"
            )
        drawn.append([score(labels) for labels in could_be])
    return _estimate(metric, name, np.mean(drawn, axis=0), rows)


def learnable(known: Rows) -> bool:
    """Whether labelled rows suffice to learn from, however large the window is."""
    return not _unfit(known, FEWEST_ROWS)


def _unfit(known: Rows, rows: int) -> str:
    for output, labels in known.labels.items():
        classes = int(np.sum(labels == 0)), int(np.sum(labels == 1))
        if sum(classes) < FEWEST_LABELLED or rows < FEWEST_ROWS:
            return too_few(sum(classes), rows)
        if min(classes) < FEWEST_PER_CLASS:
            return f"{output} has {min(classes)} labelled rows of its rarer class; {FEWEST_PER_CLASS} are needed to check it"
    return ""


def too_few(labelled: int, rows: int) -> str:
    """Says how many labelled rows and scores there are, and how many an estimate needs."""
    return f"{labelled} labelled rows and {rows} scores in the window; an estimate needs {FEWEST_LABELLED} and {FEWEST_ROWS}"


def _miscalibrated(known: Rows, window: Rows) -> str:
    """By clients alone: what campaigns have in common makes intervals wider, but to refuse too often is the safe side."""
    for output in window.predictions:
        if output not in known.labels:
            return f"output {output} has no labelled rows"
        stated, labels, labelled = _labelled(known, output)
        found = recalibrate(stated, labels, np.ones(len(labels)), known.clients[labelled], bends=False)
        if found.miscalibration():
            return f"{output} is not calibrated on the newest labelled rows: {found.miscalibration()}"
    return ""


def _labelled(known: Rows, output: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions and labels of the labelled rows, and which these are."""
    labelled = ~np.isnan(known.labels[output])
    return known.predictions[output][labelled], known.labels[output][labelled], labelled


def _both_ways(metric: Metric, stated: np.ndarray) -> Callable[[np.ndarray], float]:
    """The metric as a function of the labels alone: every row is there with both labels, one of weight 0."""
    labels = np.r_[np.ones(len(stated)), np.zeros(len(stated))]
    score = reweighted(metric, labels, np.r_[stated, stated])
    return lambda truth: score(np.r_[truth, ~truth].astype(np.float64))


def _expected_of_rarer(could_be: Sequence[np.ndarray]) -> float:
    share = float(np.mean([np.mean(labels) for labels in could_be]))
    return min(share, 1 - share) * len(could_be[0])


def _estimate(metric: Metric, name: str, drawn: np.ndarray, rows: int) -> Estimated | NotEstimable:
    defined = drawn[np.isfinite(drawn)]
    if len(defined) < len(drawn) // 2:
        return NotEstimable("in most draws of the labels the metric has no value: the window has too few rows of one class")
    return Estimated(name, float(defined.mean()), *_widened(metric, *np.quantile(defined, LEVELS)), rows)


def _widened(metric: Metric, low: float, high: float) -> tuple[float, float]:
    """The interval `_WIDER` times as wide around its middle: areas under curves in logits, losses in logarithms."""
    there, back = (logit, expit) if metric.greater_is_better else (np.log, np.exp)
    ends = there(np.clip([low, high], LEAST, 1 - LEAST if metric.greater_is_better else None))
    wider_low, wider_high = back(ends.mean() + _WIDER * (ends - ends.mean()))
    return float(wider_low), float(wider_high)
