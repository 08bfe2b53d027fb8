"""The chapter of a multiclass task: which classes are taken for which."""

import numpy as np

from training.report import charts, measures
from training.report.drawing import picture
from training.report.evidence import Evidence
from training.report.page import Section, Table
from training.report.words import count, percent


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
