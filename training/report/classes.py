"""The chapters of a multiclass task: what its probabilities are worth, and which classes are taken for which."""

import numpy as np

from training.report import charts, measures
from training.report.drawing import picture
from training.report.evidence import Evidence
from training.report.page import Section, Table
from training.report.probabilities import calibrated
from training.report.words import count, number, percent, points

_LIKELIEST = "the likeliest class"


def class_probabilities(evidence: Evidence) -> Section:
    """Whether the likeliest class is right as often as its probability says, and the Brier score over all classes."""
    (judged,) = evidence.judged
    right, chance = (judged.codes == judged.labels).astype("float64"), judged.predictions.max(axis=1)
    error = measures.calibration_error(measures.calibration(right, chance))
    drawn = picture(
        "calibration",
        "Calibration",
        f"How often the likeliest class is right, and its probability, lie {points(error)} apart on average; on the dotted line "
        "they are equal, bars are 90 % bounds.",
        lambda: charts.calibration_curves([(_LIKELIEST, right, chance)]),
    )
    shares = np.bincount(judged.labels.astype(int), minlength=judged.predictions.shape[1]) / len(judged.labels)
    row = [
        judged.output,
        count(len(judged.labels)),
        number(measures.brier(judged.labels, judged.predictions)),
        number(1 - float(np.sum(shares**2))),
        percent(float(chance.mean())),
        percent(float(right.mean())),
        number(error),
    ]
    headings = ("output", "rows", "Brier score", "of the class shares", "mean probability", "right", "calibration error")
    text = (
        f"Whether probabilities mean what they say; the Brier score adds up over the classes, the rest is on {_LIKELIEST}. "
        f"{calibrated(evidence)}"
    )
    return Section("Probabilities", text, (drawn, Table(headings, [row])))


def classes(evidence: Evidence) -> Section:
    """The confusion matrix, and recall and precision by class."""
    (judged,), names = evidence.judged, evidence.task.classes
    counts = measures.confusion(judged.labels, judged.codes, len(names))
    true, predicted, right = counts.sum(axis=1), counts.sum(axis=0), np.diag(counts)
    recall, precision = right / np.maximum(true, 1), right / np.maximum(predicted, 1)
    least = int(np.where(true > 0, recall, np.inf).argmin())
    drawn = picture(
        "confusion",
        "Confusion matrix",
        f"{percent(right.sum() / counts.sum())} of the rows get their true class as the likeliest; {names[least]} is recognised "
        f"least, in {percent(recall[least])} of its rows.",
        lambda: charts.confusions(counts, names),
    )
    rows = [
        [name, count(true[index]), count(predicted[index]), percent(recall[index]), percent(precision[index])]
        for index, name in enumerate(names)
    ]
    table = Table(("class", "rows", "predicted", "recall", "precision"), rows)
    return Section("Classes", "Which classes are taken for which; each row of the matrix adds up to 100 %.", (drawn, table))
