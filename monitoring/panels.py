"""The dashboard of a use case: which figures are drawn over time, side by side."""

from collections.abc import Sequence

from evidently.sdk.models import DashboardPanelPlot, PanelMetric
from evidently.sdk.panels import counter_panel, line_plot_panel

from monitoring.report import DRIFT

_Line = tuple[str, str, tuple[str, ...]]
_OWN: dict[str, list[_Line]] = {
    "prescoring": [
        (
            "fairness",
            "Gap between groups in the rate of approval, and ratio.",
            ("fairness gap", "four-fifths ratio"),
        )
    ],
    "income": [("coverage", "Share of incomes inside their 90 % interval; empty until labels come.", ("coverage",))],
    "fraud": [
        ("alert rate", "Share of payments above the threshold, against review capacity.", ("alert rate", "review capacity"))
    ],
    "recommendation": [
        ("acceptance", "Share of recommended products that were taken; empty until labels come.", ("acceptance",))
    ],
}
_QUALITY = ("realised", "realised low", "realised high", "estimated", "estimated low", "estimated high")


def panels_of(use_case: str, predictions: Sequence[str]) -> list[DashboardPanelPlot]:
    """Every panel of a use case; a figure that is not filed leaves its line empty.

    Args:
        predictions: prediction columns; each has a line of its own.
    """
    lines: list[_Line] = [
        ("drift", "Share of the features that drifted, by number and by importance.", ("drift share", "drifted importance")),
        ("drift of predictions", "Distance from the reference.", tuple(f"{DRIFT}{name}" for name in predictions)),
        ("quality", "The metric where labels have come, the estimate where it is possible, with 90 % intervals.", _QUALITY),
        *_OWN.get(use_case, []),
        (
            "volume",
            "Scores given or tried in a day, clients, rows in shadow.",
            ("volume", "clients", "shadow rows"),
        ),
        ("failures", "Share of scores tried in vain, and of what-if questions.", ("failed share", "simulation share")),
        ("latency", "Milliseconds from arrival to the score.", ("mean latency", "p95 latency")),
        (
            "shadow",
            "Challenger minus champion, and its absolute value, on the same rows; empty without a challenger.",
            ("shadow difference", "shadow distance"),
        ),
        ("findings", "On the data of the window.", ("findings",)),
    ]
    severity = PanelMetric(legend="{{column}}", metric="Severity")
    drifted = PanelMetric(legend="features", metric="Figure", metric_labels={"name": "drifted features"})
    return [
        counter_panel(
            f"{use_case}: drifted features", [drifted], "In the newest report; “no value” is Evidently's word for 0.", size="half"
        ),
        line_plot_panel(
            f"{use_case}: top features", [severity], "Drift in thresholds × importance, five of each day.", size="half"
        ),
        *(line_plot_panel(f"{use_case}: {title}", _lines(names), text, size="half") for title, text, names in lines if names),
    ]


def _lines(names: Sequence[str]) -> list[PanelMetric]:
    return [PanelMetric(legend=name, metric="Figure", metric_labels={"name": name}) for name in names]
