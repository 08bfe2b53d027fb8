"""The chapters of a regression: predicted against actual, residuals by decile, coverage of the intervals."""

import numpy as np

from training.report import charts, measures
from training.report.drawing import Picture, picture
from training.report.evidence import Evidence, Judged
from training.report.page import Section, Table
from training.report.words import between, count, number, percent

AIM = 0.9
"""What intervals promise to cover."""


def amounts(evidence: Evidence) -> Section:
    """How far predictions lie from what was true."""
    blocks = [block for judged in evidence.judged for block in (_actual(evidence, judged), *_residuals(judged))]
    return Section("Amounts", "How far predictions lie from what was true, over the range of the prediction.", blocks)


def _actual(evidence: Evidence, judged: Judged) -> Picture:
    bias = float(np.average(judged.predictions - judged.labels, weights=judged.weights))
    half = float(np.median(np.abs(judged.predictions - judged.labels)))
    return picture(
        f"actual_{judged.output}",
        f"Predicted and actual {judged.output}",
        f"Half of the predictions lie within {number(half)} of the label, and they are {number(abs(bias))} too "
        f"{'high' if bias > 0 else 'low'} on average; darker cells hold more rows.",
        lambda: charts.predicted_and_actual(judged.labels, judged.predictions, evidence.task.positive),
    )


def _residuals(judged: Judged) -> tuple[Picture, Table]:
    table = measures.errors_by_decile(judged.labels, judged.predictions, judged.weights)
    relative = (table["wmae"] / table["label"].abs().where(table["label"] != 0)).fillna(0.0).to_numpy()
    drawn = picture(
        f"residuals_{judged.output}",
        f"Residuals of {judged.output} by decile",
        f"Relative to the label the error is largest in decile {int(relative.argmax()) + 1}, {percent(float(relative.max()))}; "
        "dots are medians, bars hold the middle 80 % of the rows.",
        lambda: charts.residuals(table),
    )
    rows = [
        [str(index + 1), count(row["rows"]), number(row["predicted"]), number(row["label"]), number(row["wmae"]), percent(share)]
        for index, (row, share) in enumerate(zip(table.to_dict("records"), relative, strict=True))
    ]
    return drawn, Table(("decile", "rows", "mean prediction", "mean label", "WMAE", "relative to the label"), rows)


def intervals(evidence: Evidence) -> Section:
    """Whether the intervals hold what they promise."""
    blocks = [block for judged in evidence.judged for block in _coverage(judged)]
    if not blocks:
        return Section("Intervals", "The model gives no intervals.")
    return Section("Intervals", "Whether the 90 % intervals hold what they promise, everywhere.", blocks)


def _coverage(judged: Judged) -> tuple[Picture | Table, ...]:
    if judged.bounds is None or judged.covered is None:
        return ()
    table = measures.coverage(judged.predictions, judged.covered, judged.bounds[1] - judged.bounds[0], judged.borders)
    drawn = picture(
        f"coverage_{judged.output}",
        f"Coverage of the intervals of {judged.output}",
        f"{percent(float(judged.covered.mean()))} of the labels lie in their interval, {percent(table['share'].min())} in the "
        f"worst segment; the dotted line is the {percent(AIM, 0)} that intervals promise.",
        lambda: charts.coverages(table, AIM),
    )
    rows = [
        [between(row["low"], row["high"]), count(row["rows"]), percent(row["share"]), number(row["width"])]
        for row in table.to_dict("records")
    ]
    return drawn, Table(("segment of the prediction", "rows", "covered", "median width"), rows)
