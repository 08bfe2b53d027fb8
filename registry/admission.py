"""Whether a version can serve at all: what the gate asks before it compares any figure."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd

from registry.encoding import ModelColumn, encode
from registry.outputs import Output
from registry.scorer import Scorer

_READ = 1000
"""Values by which it is decided whether a column is readable."""
_PROBES = 3
"""Rows that are scored one by one, as a service does."""


def declared_obstacles(use_case: str, scorer: Scorer, features: pd.DataFrame, labels: pd.DataFrame) -> list[str]:
    """Why what a scorer declares could not serve `use_case`, a clause each; empty when nothing stands against it.

    Args:
        use_case: registered model; the bank's own have further needs (thresholds, intervals).
        scorer: the candidate.
        features: rows with every column that it may declare.
        labels: one column per output that is expected of it.
    """
    return [*_columns(scorer, features), *_outputs(scorer, labels), *_NEEDS.get(use_case, _nothing)(scorer)]


def predicted_obstacles(scorer: Scorer, features: pd.DataFrame, predictions: Mapping[str, np.ndarray]) -> list[str]:
    """Why predictions for `features`, as `Scorer.predict` gave them, could not be served, a clause each."""
    return [clause for output in scorer.outputs_ for clause in _unfit(scorer, output, features, predictions[output.name])]


def _columns(scorer: Scorer, features: pd.DataFrame) -> Iterator[str]:
    absent = [name for name in scorer.columns if name not in features.columns]
    if absent:
        yield f"the rows have no column {_some(absent)}, which it declares"
    for column in scorer.columns_:
        if column.name in features.columns and not _readable(features[column.name], column):
            kind = "numbers" if column.vocabulary is None else "categories"
            yield f"column {column.name} is declared to hold {kind}, and not one of its values is read as such"


def _readable(values: pd.Series, column: ModelColumn) -> bool:
    """Whether a column's type is the declared one. Texts that are all new to the vocabulary are readable: they are just rare."""
    given = values.dropna().head(_READ)
    if given.empty or (column.vocabulary is not None and not pd.api.types.is_numeric_dtype(given.dtype)):
        return True
    return not np.isnan(encode(given.to_frame(), (column,))).all()


def _outputs(scorer: Scorer, labels: pd.DataFrame) -> Iterator[str]:
    missing = [str(name) for name in labels.columns if name not in scorer.outputs]
    if missing:
        yield f"it has no output {_some(missing)}"
    extra = [name for name in scorer.outputs if name not in labels.columns]
    if extra:
        yield f"its output {_some(extra)} has no label to judge it by"


def _unfit(scorer: Scorer, output: Output, features: pd.DataFrame, values: np.ndarray) -> Iterator[str]:
    expected = (len(features), len(output.classes)) if output.classes else (len(features),)
    unfinished = int((~np.isfinite(values)).sum())
    if values.shape != expected:
        yield f"output {output.name} has shape {values.shape} for {len(features)} rows, expected {expected}"
    elif unfinished:
        yield f"output {output.name} is not finite {unfinished} times in {values.size}"
    else:
        outside = int(((values < 0) | (values > 1)).sum()) if output.link in ("logit", "softmax") else 0
        if outside:
            yield f"output {output.name} is a probability, and {outside} of {values.size} lie outside of 0 to 1"
        yield from _single_rows(scorer, output, features.head(_PROBES), values)


def _single_rows(scorer: Scorer, output: Output, probes: pd.DataFrame, values: np.ndarray) -> Iterator[str]:
    for row in range(len(probes)):
        alone = scorer.predict(probes.iloc[[row]])[output.name]
        if alone.shape != (1, *values.shape[1:]) or not np.allclose(alone[0], values[row], rtol=1e-4):
            yield f"output {output.name} gives a single row another prediction than among others"
            return


def _nothing(_scorer: Scorer) -> Iterator[str]:
    yield from ()


def _fraud(scorer: Scorer) -> Iterator[str]:
    """The service answers with a risk level, by thresholds "medium" and "high" on `fraud`."""
    thresholds = scorer.thresholds.get("fraud", {})
    yield from _lacking(thresholds, "fraud", ("medium", "high"))
    if thresholds.get("medium", 0.0) > thresholds.get("high", np.inf):
        yield f"threshold medium ({thresholds['medium']:g}) of fraud lies above high ({thresholds['high']:g})"


def _prescoring(scorer: Scorer) -> Iterator[str]:
    """The service answers with a decision for every bank, by a threshold "approve"."""
    for bank in scorer.outputs:
        yield from _lacking(scorer.thresholds.get(bank, {}), bank, ("approve",))


def _income(scorer: Scorer) -> Iterator[str]:
    """The service answers with an interval around the income."""
    for output in scorer.outputs_:
        if output.interval is None:
            yield f"output {output.name} has no interval"


def _lacking(thresholds: dict[str, float], output: str, wanted: tuple[str, ...]) -> Iterator[str]:
    absent = [name for name in wanted if not np.isfinite(thresholds.get(name, np.nan))]
    if absent:
        yield f"output {output} has no threshold {_some(absent)}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


_NEEDS: dict[str, Callable[[Scorer], Iterator[str]]] = {"fraud": _fraud, "prescoring": _prescoring, "income": _income}
