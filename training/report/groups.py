"""The chapter on fairness, and the summary of it that the model card repeats."""

from collections.abc import Callable, Mapping

import numpy as np

from training import fairness
from training.fairness import FEWEST, FOUR_FIFTHS, FourFifths, GroupFigures
from training.report import charts
from training.report.drawing import Picture, picture
from training.report.evidence import Evidence, Judged
from training.report.page import Section, Table
from training.report.words import count, number, percent, ratio, signed

_FORMATS: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "rows": ("rows", count),
    "favourable": ("favourable", percent),
    "ratio": ("ratio to the best", ratio),
    "tpr": ("true positive rate", percent),
    "fpr": ("false positive rate", percent),
    "predicted": ("predicted", percent),
    "observed": ("observed", percent),
    "label": ("mean label", number),
    "wmae": ("WMAE", number),
    "mean_error": ("mean error", signed),
    "coverage": ("covered", percent),
    "accuracy": ("accuracy", percent),
}


def by_group(evidence: Evidence) -> list[GroupFigures]:
    """The figures of every output by every protected column that the rows have."""
    columns = [name for name in evidence.task.protected if name in evidence.judged[0].rows]
    return [_figures(evidence, judged, name) for judged in evidence.judged for name in columns]


def _figures(evidence: Evidence, judged: Judged, column: str) -> GroupFigures:
    group = fairness.groups(column, judged.rows[column])
    if evidence.task.kind == "binary":
        decision = min(judged.decisions, key=lambda decision: decision.threshold, default=None)
        return fairness.by_decision(column, judged.output, group, judged.labels, judged.predictions, decision)
    if evidence.task.kind == "multiclass":
        return fairness.by_class(column, judged.output, group, judged.labels, judged.codes)
    return fairness.by_error(column, judged.output, group, judged.labels, judged.predictions, judged.weights, judged.covered)


def section(evidence: Evidence, figures: list[GroupFigures]) -> Section:
    """Fairness by group."""
    if not figures:
        way = " PROTECTED=column,… names them." if evidence.task.table else ""
        return Section("Fairness", f"The rows have no protected column, so no group can be told from another here.{way}")
    ruled = [(found, found.four_fifths) for found in figures if found.four_fifths]
    blocks: list[Picture | Table] = [_verdicts(evidence, ruled), *_charts(evidence, ruled)] if ruled else []
    blocks += [_table(evidence, output, figures) for output in dict.fromkeys(found.output for found in figures)]
    text = f"{summary(evidence, figures)} {_decided(evidence)}Groups of fewer than {FEWEST} rows are taken together."
    return Section("Fairness", text, blocks)


def _decided(evidence: Evidence) -> str:
    decisions = {decision.name: decision for judged in evidence.judged for decision in judged.decisions}
    if not decisions:
        return ""
    mildest = min(decisions.values(), key=lambda decision: decision.threshold)
    side = "reach" if mildest.favourable else "stay below"
    return f"Favourable is to {side} the stored threshold {mildest.name}. "


def summary(evidence: Evidence, figures: list[GroupFigures]) -> str:
    """The fairness of the model in a sentence or two."""
    rules = {(found.output, found.column): found.four_fifths for found in figures if found.four_fifths}
    if rules:
        met = sum(rule.met for rule in rules.values())
        (output, column), worst = min(rules.items(), key=lambda item: item[1].ratio)
        return (
            f"The four-fifths rule is met in {met} of {len(rules)} comparisons. The lowest ratio is {ratio(worst.ratio)}: "
            f"{output}, {evidence.title(column)}, {worst.group} against {worst.best}."
        )
    if not figures:
        return "The rows have no protected column."
    if "wmae" in figures[0].table:
        return f"Errors by group: {_spread(evidence, figures, 'wmae', relative=True)}"
    if "accuracy" in figures[0].table:
        return f"Accuracy by group: {_spread(evidence, figures, 'accuracy')}"
    if "favourable" in figures[0].table:
        return f"No two groups of {FEWEST} rows can be compared by how often they are favoured."
    return "No decision threshold is stored, so groups are compared by calibration alone."


def _spread(evidence: Evidence, figures: list[GroupFigures], name: str, relative: bool = False) -> str:
    """The protected column whose groups differ most in a figure."""
    spreads = []
    for found in figures:
        table = found.table[found.table["rows"] >= FEWEST]
        values = table[name] / table["label"].abs() if relative else table[name]
        values = values[np.isfinite(values)]
        if len(values):
            spreads.append((float(values.max() - values.min()), found.column, float(values.min()), float(values.max())))
    if not spreads:
        return "too few rows in every group."
    _, column, low, high = max(spreads)
    kind = " of the mean label" if relative else ""
    return f"they differ most by {evidence.title(column)}, from {percent(low)} to {percent(high)}{kind}."


def _verdicts(evidence: Evidence, ruled: list[tuple[GroupFigures, FourFifths]]) -> Table:
    rows = [
        [
            found.output,
            evidence.title(found.column),
            rule.group,
            rule.best,
            rule.verdict,
            f"{ratio(rule.ratio)} ({ratio(rule.low)} to {ratio(rule.high)})",
            ratio(found.equalized_odds_difference),
        ]
        for found, rule in ruled
    ]
    headings = (
        "output",
        "attribute",
        "least favoured",
        "most favoured",
        "four-fifths rule",
        "ratio (90 % interval)",
        "equalised odds",
    )
    broken = frozenset(index for index, (_, rule) in enumerate(ruled) if not rule.met)
    return Table(headings, rows, 5, "Four-fifths rule, and the difference of equalised odds", broken)


def _charts(evidence: Evidence, ruled: list[tuple[GroupFigures, FourFifths]]) -> list[Picture]:
    figures = [found for found, _ in ruled]
    columns = [
        (evidence.title(name), [found for found in figures if found.column == name])
        for name in dict.fromkeys(found.column for found in figures)
    ]
    several = len(evidence.judged) > 1
    named = [(f"{found.output} · " * several + evidence.title(found.column), found) for found in figures]
    failed = sum(not rule.met for _, rule in ruled)
    return [
        picture(
            "fairness_rates",
            "Favourable decisions by group",
            "The closer together the marks of one colour in a panel, the more alike the groups are treated; behind each group "
            "is the number of its rows.",
            lambda: charts.favourable_rates(columns),
        ),
        picture(
            "fairness_ratios",
            "Least against most favoured group",
            f"{failed} of {len(ruled)} comparisons lie left of the dashed line at four fifths; bars are 90 % intervals.",
            lambda: charts.four_fifths(named),
        ),
    ]


def _table(evidence: Evidence, output: str, figures: list[GroupFigures]) -> Table:
    """All groups of all protected columns, for one output."""
    tables = {evidence.title(found.column): found.table for found in figures if found.output == output}
    names = [name for name in _FORMATS if any(name in table for table in tables.values())]
    rows: list[list[str]] = []
    low = set()
    for title, table in tables.items():
        for group, row in table.iterrows():
            if row.get("ratio", 1.0) < FOUR_FIFTHS and row["rows"] >= FEWEST:
                low.add(len(rows))
            rows.append([title, str(group), *(_FORMATS[name][1](row.get(name, float("nan"))) for name in names)])
    headings = ("attribute", "group", *(_FORMATS[name][0] for name in names))
    return Table(headings, rows, 2, f"By group: {output}", frozenset(low))
