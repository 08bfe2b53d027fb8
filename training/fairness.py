"""How a model treats groups of people: rates of decisions, errors and calibration by protected column."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate

from registry.metrics import wmae

FEWEST = 50
"""Groups of fewer rows are merged, and no figures are given for what is still smaller: they would be noise, and could tell of
single persons."""

FOUR_FIFTHS = 0.8
SMALL = "other (small)"
NOT_GIVEN = "not given"
_AGE_BANDS = {"under 30": 30, "30-44": 45, "45-59": 60, "60 and over": np.inf}
_VALUE_NAMES = {"gender": {"0": "0 (male)", "1": "1 (female)"}}
_MOST_VALUES = 8
_Z90 = 1.6449


@dataclass(frozen=True)
class Decision:
    """A stored threshold; `favourable` = reaching it is what the person hopes for (an approval, not a blocked payment)."""

    name: str
    threshold: float
    favourable: bool


@dataclass(frozen=True)
class FourFifths:
    """The four-fifths rule: the least favourable rate of any group against the greatest.

    Source: US Equal Employment Opportunity Commission, Uniform Guidelines on Employee Selection Procedures, 29 CFR 1607.4 D.

    Attributes:
        group, best: the groups with the least and the greatest rate.
        ratio: least rate / greatest rate.
        low, high: 90 % interval of the ratio (Katz et al., 1978: normal on the log scale).
    """

    group: str
    best: str
    ratio: float
    low: float
    high: float

    @property
    def met(self) -> bool:
        """Whether the ratio reaches 0.8."""
        return self.ratio >= FOUR_FIFTHS

    @property
    def verdict(self) -> str:
        """In words, with what the noise allows."""
        if self.met:
            return "met" if self.low >= FOUR_FIFTHS else "met, within noise"
        return "not met" if self.high < FOUR_FIFTHS else "not met, within noise"


@dataclass(frozen=True)
class GroupFigures:
    """Figures of one output by the groups of one protected column.

    Attributes:
        column: the protected column.
        output: what is predicted.
        table: one row per group, in the groups' order; `rows`, then figures that depend on the kind (see `by_decision`,
            `by_error`, `by_class`).
        four_fifths: of the favourable rates; None without a decision or with fewer than two groups of enough rows.
        equalized_odds_difference: greatest difference between groups in true or false positive rate (Hardt et al., 2016).
    """

    column: str
    output: str
    table: pd.DataFrame
    four_fifths: FourFifths | None = None
    equalized_odds_difference: float | None = None


def groups(name: str, values: pd.Series) -> pd.Series:
    """The group of each row, as ordered categories: age in bands, other numbers by quartile unless they take few values.

    Texts come by frequency. Values of fewer than `FEWEST` rows become one group; missing values count as a value.
    """
    named = _named(name, values)
    if named.isna().any():
        named = named.cat.add_categories(NOT_GIVEN).fillna(NOT_GIVEN)
    order = list(named.cat.categories)
    rare = [group for group, rows in named.value_counts().items() if rows < FEWEST]
    kept = [group for group in order if group not in rare]
    merged = named.astype("object").where(named.isin(kept), SMALL)
    present = [group for group in (*kept, SMALL) if (merged == group).any()]
    return pd.Series(pd.Categorical(merged, present, ordered=True), index=values.index)


def _named(name: str, values: pd.Series) -> pd.Series:
    if not pd.api.types.is_numeric_dtype(values.dtype):
        texts = values.astype("object").map(str, na_action="ignore")
        return texts.astype(pd.CategoricalDtype(list(texts.value_counts().index)))
    numbers = values.astype("float64")
    if "age" in name.lower().split("_"):
        return pd.cut(numbers, [-np.inf, *_AGE_BANDS.values()], right=False, labels=list(_AGE_BANDS))
    if numbers.nunique() <= _MOST_VALUES:
        known = _VALUE_NAMES.get(name, {})
        plain = {value: f"{value:g}" for value in sorted(numbers.dropna().unique())}
        titles = {value: known.get(text, text) for value, text in plain.items()}
        return numbers.map(titles).astype(pd.CategoricalDtype(list(titles.values())))
    borders = np.unique(numbers.quantile([0.25, 0.5, 0.75]))
    return pd.cut(numbers, [-np.inf, *borders, np.inf], right=False, labels=_quartile_names(borders))


def _quartile_names(borders: np.ndarray) -> list[str]:
    inner = [f"{low:,.4g} to {high:,.4g}" for low, high in pairwise(borders)]
    return [f"under {borders[0]:,.4g}", *inner, f"{borders[-1]:,.4g} and over"]


def by_decision(
    column: str, output: str, group: pd.Series, labels: np.ndarray, probabilities: np.ndarray, decision: Decision | None
) -> GroupFigures:
    """Figures of a binary output: rows, `predicted` (mean probability), `observed` (share of label 1), and with a decision
    `favourable` (share of rows decided in the person's favour), `ratio` (to the best group), `tpr` and `fpr`.

    A rate whose denominator is empty in a group is missing.
    """

    def figures(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        found = {"rows": len(truth), "predicted": predicted.mean(), "observed": truth.mean()}
        return found if decision is None else found | _rates(truth, predicted, decision)

    table = _by_group(figures, labels, probabilities, group)
    if decision is None:
        return GroupFigures(column, output, table)
    judged = table[table["rows"] >= FEWEST]
    table = table.assign(ratio=table["favourable"] / judged["favourable"].max())
    spread = judged[["tpr", "fpr"]].max() - judged[["tpr", "fpr"]].min()
    odds = float(spread.max()) if len(judged) > 1 and spread.notna().any() else None
    return GroupFigures(column, output, table, _four_fifths(judged), odds)


def _rates(truth: np.ndarray, probabilities: np.ndarray, decision: Decision) -> dict[str, float]:
    reached = (probabilities >= decision.threshold).astype(int)
    selected = float(selection_rate(truth, reached))
    return {
        "favourable": selected if decision.favourable else 1 - selected,
        "tpr": float(true_positive_rate(truth, reached, pos_label=1)) if (truth == 1).any() else np.nan,
        "fpr": float(false_positive_rate(truth, reached, pos_label=1)) if (truth == 0).any() else np.nan,
    }


def by_error(
    column: str,
    output: str,
    group: pd.Series,
    labels: np.ndarray,
    predictions: np.ndarray,
    weights: np.ndarray,
    inside: np.ndarray | None,
) -> GroupFigures:
    """Figures of a regression: rows, `label` (weighted mean), `wmae`, `mean_error` (weighted mean of prediction − label), and
    `coverage` where `inside` says which labels lie in their interval."""

    def figures(truth: np.ndarray, predicted: np.ndarray, weight: np.ndarray, covered: np.ndarray) -> dict[str, float]:
        mean = float(np.average(truth, weights=weight))
        error = float(np.average(predicted, weights=weight)) - mean
        found = {"rows": len(truth), "label": mean, "wmae": wmae(truth, predicted, weight), "mean_error": error}
        return found if inside is None else found | {"coverage": covered.mean()}

    covered = np.ones(len(labels)) if inside is None else inside.astype(float)
    return GroupFigures(column, output, _by_group(figures, labels, predictions, group, weight=weights, covered=covered))


def by_class(column: str, output: str, group: pd.Series, labels: np.ndarray, predicted: np.ndarray) -> GroupFigures:
    """Figures of a multiclass output: rows and `accuracy`; labels and `predicted` are class codes."""

    def figures(truth: np.ndarray, codes: np.ndarray) -> dict[str, float]:
        return {"rows": len(truth), "accuracy": float(np.mean(truth == codes))}

    return GroupFigures(column, output, _by_group(figures, labels, predicted, group))


def _by_group(
    figures: Callable[..., dict[str, float]], labels: np.ndarray, predictions: np.ndarray, group: pd.Series, **per_row: np.ndarray
) -> pd.DataFrame:
    """One row per group, in the groups' order. One function gives all figures: MetricFrame costs functions times rows."""
    frame = MetricFrame(
        metrics=figures,
        y_true=labels,
        y_pred=predictions,
        sensitive_features=group.astype("object").to_numpy(),
        sample_params=per_row,
    )
    table = pd.DataFrame(frame.by_group.to_list(), index=pd.Index(frame.by_group.index, name="group"))
    table = table.astype({"rows": "int64"}).reindex(group.cat.categories)
    table.loc[table["rows"] < FEWEST, table.columns != "rows"] = np.nan
    return table


def _four_fifths(judged: pd.DataFrame) -> FourFifths | None:
    if len(judged) < 2 or judged["favourable"].max() == 0:
        return None
    least, best = judged["favourable"].idxmin(), judged["favourable"].idxmax()
    ratio = float(judged["favourable"].min() / judged["favourable"].max())
    if ratio == 0:
        return FourFifths(str(least), str(best), 0.0, 0.0, 0.0)
    shares = judged.loc[[least, best]]
    error = float(np.sqrt(((1 - shares["favourable"]) / (shares["rows"] * shares["favourable"])).sum()))
    low, high = ratio * np.exp(-_Z90 * error), ratio * np.exp(_Z90 * error)
    return FourFifths(str(least), str(best), ratio, float(low), float(min(high, 1.0)))
