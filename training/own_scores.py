"""Scores of a table of the user's own: which columns they have, and the threshold between two classes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from registry.scorer import Scorer
from training.own_table import own_features

POSITIVE = "positive"
"""Name of the threshold from which on a row is given the positive class."""


def class_threshold(_output: str, labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """The probability from which the positive class is given: where F1, 2 TP / (2 TP + FP + FN), is largest.

    Ties go to the highest. Unlike the accuracy, F1 does not call every row negative where positives are rare. A half where there
    are no positives to choose by.
    """
    if not labels.any():
        return {POSITIVE: 0.5}
    order = np.argsort(-probabilities, kind="stable")
    descending = probabilities[order]
    last = np.append(descending[1:] != descending[:-1], True)  # rows with equal probability stay together
    hits = np.cumsum(labels[order])
    f1 = 2 * hits / (np.arange(1, len(labels) + 1) + labels.sum())
    return {POSITIVE: float(descending[last][int(np.argmax(f1[last]))])}


def score_rows(scorer: Scorer, rows: pd.DataFrame) -> pd.DataFrame:
    """The scores of rows that were read with the kinds of the scorer's table, one line each.

    Columns: `score`; for two classes the probability of the positive one and the `class` by the threshold; for several the
    likeliest `class`, its probability and that of each; for amounts the bounds `low` and `high` of the 90 % interval.
    """
    form: Mapping[str, Any] = scorer.metadata["table"]
    features = own_features(rows, form)
    output = scorer.outputs_[0]
    predicted = scorer.predict(features)[output.name]
    if output.classes:
        best = predicted.argmax(axis=1)
        columns = {"score": predicted.max(axis=1), "class": np.array(output.classes, dtype=object)[best]}
        columns |= {f"probability_{name}": predicted[:, at] for at, name in enumerate(output.classes)}
    elif form["classes"]:
        positive = predicted >= scorer.thresholds[output.name][POSITIVE]
        columns = {"score": predicted, "class": np.array(form["classes"], dtype=object)[positive.astype(int)]}
    else:
        columns = {"score": predicted}
        if output.interval is not None:
            columns["low"], columns["high"] = scorer.interval(output.name, features)
    return pd.DataFrame(columns, index=rows.index)
