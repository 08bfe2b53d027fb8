"""The chapters of a binary task: calibration and gains, and what deciding at a threshold gives and costs."""

from collections.abc import Mapping

import numpy as np

from training.report import charts, measures
from training.report.drawing import picture
from training.report.evidence import Evidence, Judged
from training.report.page import Section, Table
from training.report.words import count, number, percent, points, ratio

_HEADINGS = ("output", "rows", "positives", "share", "Brier score", "of a constant", "calibration error", "lift in the top tenth")


def probabilities(evidence: Evidence) -> Section:
    """Calibration and gains."""
    outputs = [(judged.output, judged.labels, judged.predictions) for judged in evidence.judged]
    errors = {o: measures.calibration_error(measures.calibration(labels, predicted)) for o, labels, predicted in outputs}
    found = {o: measures.captured(labels, predicted, 0.1) for o, labels, predicted in outputs}
    worst, least = max(errors, key=lambda o: errors[o]), min(found, key=lambda o: found[o])
    calibration = picture(
        "calibration",
        "Calibration",
        f"Predicted and observed rates lie {points(errors[worst])} apart on average{_worst_of(worst, errors)}; "
        "on the dotted line they are equal, bars are 90 % bounds.",
        lambda: charts.calibration_curves(outputs),
    )
    gains = picture(
        "gains",
        "Gains",
        f"The tenth of the rows with the highest predictions holds {percent(found[least], 0)} of the positives"
        f"{_worst_of(least, found)}, {ratio(found[least] / 0.1)} times as many as chance; dashed green is the best possible.",
        lambda: charts.gains_curves(outputs),
    )
    rows = [_row(judged, errors[judged.output], found[judged.output]) for judged in evidence.judged]
    text = f"Whether a probability means what it says, and how well it sorts the rows. {calibrated(evidence)}"
    return Section("Probabilities", text, (calibration, gains, Table(_HEADINGS, rows)))


def _worst_of(output: str, outputs: Mapping[str, float]) -> str:
    return f" for {output}, the worst of {len(outputs)}" if len(outputs) > 1 else ""


def calibrated(evidence: Evidence) -> str:
    """How the probabilities were calibrated, in a sentence."""
    maps = {spec.name: spec.calibration for spec in evidence.scorer.outputs_}
    maps |= {
        f"{spec.name} of rows that lack what some callers cannot give": spec.lacking.calibration
        for spec in evidence.scorer.outputs_
        if spec.lacking
    }
    methods = {name: found.method for name, found in maps.items() if found}
    if not methods:
        return "The model's own probabilities are used, without a calibration of their own."
    named = ", ".join(f"{output} ({method})" for output, method in methods.items())
    return f"Calibrated on rows of their own: {named}."


def _row(judged: Judged, error: float, found: float) -> list[str]:
    rate = float(judged.labels.mean())
    return [
        judged.output,
        count(len(judged.labels)),
        count(judged.labels.sum()),
        percent(rate, 2),
        number(measures.brier(judged.labels, judged.predictions)),
        number(rate * (1 - rate)),
        number(error),
        ratio(found / 0.1),
    ]


def decisions(evidence: Evidence) -> Section:
    """What deciding at different thresholds gives, and costs."""
    costs = evidence.costs
    stored = "Marked rows are the thresholds stored with the model." if evidence.scorer.thresholds else "No threshold is stored."
    text = (
        "What happens when every row from a threshold upwards is acted on; counts and costs are per 1,000 rows. "
        f"Acting rightly costs {costs.hit:g}, acting wrongly {costs.false_alarm:g}, missing {costs.miss:g}, "
        f"rightly not acting {costs.pass_:g}. {stored}"
    )
    return Section("Thresholds", text, [_thresholds(evidence, judged) for judged in evidence.judged])


def _thresholds(evidence: Evidence, judged: Judged) -> Table:
    stored = {decision.name: decision.threshold for decision in judged.decisions}
    table = measures.thresholds(judged.labels, judged.predictions, stored, evidence.costs)
    rows = [
        [
            number(row["threshold"]),
            row["name"],
            percent(row["flagged"]),
            percent(row["precision"]),
            percent(row["recall"]),
            *(f"{row[name]:,.1f}" for name in ("false_alarms", "missed", "cost")),
        ]
        for row in table.to_dict("records")
    ]
    headings = ("threshold", "stored as", "rows at or above", "precision", "recall", "wrongly acted on", "missed", "cost")
    marked = frozenset(np.flatnonzero(table["name"] != "").tolist())
    return Table(headings, rows, 2, judged.output if len(evidence.judged) > 1 else "", marked)
