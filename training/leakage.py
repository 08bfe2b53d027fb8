"""The leakage guard: columns that alone predict almost perfectly, number the rows, repeat another one, or never change."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from training.task import Kind

PERFECT = {"binary": 0.98, "multiclass": 0.98, "regression": 0.98}
"""From which holdout ROC-AUC (one class against the others, averaged) or R² of the ranks a single column is suspected."""
_MOST_ROWS = 40_000
_LEAVES = 64
_CATEGORIES = 1000
_PRIOR = 2.0
_FILLED = 0.9
_LONG = 1e8
_LARGEST = 3e38


@dataclass(frozen=True)
class Suspect:
    """A column that a careful person would look at before a model learns from it.

    Attributes:
        why: "leak" (predicts the target alone), "id" (numbers the rows), "copy" (repeats another) or "constant" (says nothing).
        score: the metric of a leak, otherwise None.
        sentence: all of it in words.
        original: the column that a copy repeats, otherwise None.
    """

    column: str
    why: Literal["leak", "id", "copy", "constant"]
    score: float | None
    sentence: str
    original: str | None = None

    @property
    def looks_like(self) -> str:
        """What it is suspected of, in a word or two."""
        return self.why if self.original is None else f"copy of {self.original}"

    @property
    def record(self) -> dict[str, str | float | None]:
        """What is kept of it with the model."""
        return {"column": self.column, "why": self.why, "looks_like": self.looks_like, "score": self.score}


def suspects(frame: pd.DataFrame, features: list[str], labels: np.ndarray, kind: Kind, seed: int) -> list[Suspect]:
    """The suspicious ones among the `features` of `frame`, leaks first, the strongest first.

    Args:
        frame: all rows, in the order of the file.
        features: columns to look at: numbers or text.
        labels: a number per row: 0/1, codes of classes, or amounts.
        kind: of the task.
        seed: of the sample and its two halves.
    """
    rows = np.random.default_rng(seed).permutation(len(frame))[:_MOST_ROWS]
    sample, known = frame.iloc[rows], labels[rows]
    half = len(rows) // 2
    found = [_identity(frame[name], sample[name]) for name in features]
    for name in features:
        score = _alone(sample[name], known, half, kind)
        if score >= PERFECT[kind]:
            measure = "R² of the ranks" if kind == "regression" else "ROC-AUC"
            sentence = (
                f"column {name} alone predicts the target almost perfectly ({measure} {score:.4f} on rows it was not fitted on)"
            )
            found.append(Suspect(name, "leak", round(score, 4), sentence))
    found += _copies(frame, sample, features)
    order = {"leak": 0, "id": 1, "copy": 2, "constant": 3}
    return sorted(filter(None, found), key=lambda suspect: (order[suspect.why], -(suspect.score or 0.0)))


def _identity(values: pd.Series, sample: pd.Series) -> Suspect | None:
    """Whether a column is constant, or different in every row the way that numbers and names of rows are."""
    if 1 < sample.nunique() < sample.count():
        return None
    given = values.dropna()
    distinct = given.nunique()
    if distinct == 1 and len(given) == len(values):
        return Suspect(str(values.name), "constant", None, f"column {values.name} has the same value in all {len(values):,} rows")
    if distinct < len(given) or len(given) < _FILLED * len(values) or distinct < 3:
        return None
    if pd.api.types.is_numeric_dtype(values.dtype) and not _numbers_rows(given.to_numpy(dtype="float64")):
        return None
    return Suspect(str(values.name), "id", None, f"column {values.name} is different in each of {distinct:,} rows, as an id is")


def _copies(frame: pd.DataFrame, sample: pd.DataFrame, features: list[str]) -> list[Suspect]:
    """Columns that say in every row what an earlier one says; constants are none, they say nothing."""
    alike: dict[bytes, list[str]] = {}
    found = []
    for name in (name for name in features if sample[name].nunique() > 1):
        earlier = alike.setdefault(pd.util.hash_pandas_object(sample[name], index=False).to_numpy().tobytes(), [])
        original = next((other for other in earlier if frame[other].equals(frame[name])), None)
        if original is None:
            earlier.append(name)
        else:
            sentence = f"column {name} holds the same as column {original} in all {len(frame):,} rows"
            found.append(Suspect(name, "copy", None, sentence, original))
    return found


def _numbers_rows(values: np.ndarray) -> bool:
    """Whether distinct numbers look like ids: whole, and in order, or dense, or long."""
    if not (np.isfinite(values).all() and (values == np.floor(values)).all()):
        return False
    steps = np.diff(values)
    dense = values.max() - values.min() < 3 * len(values)
    return bool((steps > 0).all() or (steps < 0).all() or dense or values.min() >= _LONG)


def _alone(values: pd.Series, labels: np.ndarray, half: int, kind: Kind) -> float:
    """How well the column alone predicts: fitted on the first half of the rows, judged on the others.

    Amounts are ranked first, so that a few large ones do not hide how well the column orders the rest.
    """
    if kind == "regression":
        labels = pd.Series(labels).rank(pct=True).to_numpy()
    elif len(np.unique(labels[:half])) < 2 or len(np.unique(labels[half:])) < 2:
        return 0.0
    numeric = pd.api.types.is_numeric_dtype(values.dtype)
    predicted = (_by_tree if numeric else _by_category)(values, labels, half, kind)
    if kind == "regression":
        return float(r2_score(labels[half:], predicted[:, 0]))
    classes = np.unique(labels[:half])
    scores = [
        roc_auc_score(labels[half:] == code, predicted[:, at])
        for at, code in enumerate(classes)
        if 0 < (labels[half:] == code).mean() < 1
    ]
    return float(np.mean(scores))


def _by_tree(values: pd.Series, labels: np.ndarray, half: int, kind: Kind) -> np.ndarray:
    """Predictions for the second half by a small tree, which splits missing values off where that helps."""
    column = values.to_numpy(dtype="float64", na_value=np.nan).clip(-_LARGEST, _LARGEST).reshape(-1, 1)
    leaves = max(_LEAVES, 4 * len(np.unique(labels[:half]))) if kind != "regression" else _LEAVES
    if kind == "regression":
        tree = DecisionTreeRegressor(max_leaf_nodes=leaves, min_samples_leaf=3).fit(column[:half], labels[:half])
        return tree.predict(column[half:]).reshape(-1, 1)
    forest = DecisionTreeClassifier(max_leaf_nodes=leaves, min_samples_leaf=3).fit(column[:half], labels[:half])
    return forest.predict_proba(column[half:])


def _by_category(values: pd.Series, labels: np.ndarray, half: int, kind: Kind) -> np.ndarray:
    """Predictions for the second half by the mean of each category, pulled towards the mean of all; missing is a category."""
    texts = values.astype(object).where(values.notna(), "")
    common = texts.iloc[:half].value_counts().index[:_CATEGORIES]
    codes = common.get_indexer(pd.Index(texts)) + 1  # 0: any other
    targets = (
        labels[:, None] if kind == "regression" else (labels[:, None] == np.unique(labels[:half])[None, :]).astype("float64")
    )
    sums = np.zeros((len(common) + 1, targets.shape[1]))
    np.add.at(sums, codes[:half], targets[:half])
    counts = np.bincount(codes[:half], minlength=len(common) + 1)[:, None]
    return ((sums + _PRIOR * targets[:half].mean(axis=0)) / (counts + _PRIOR))[codes[half:]]
