"""The chapters on where a model comes from: the data it learned from and what was tried."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from features.wording import plural
from training.report import charts
from training.report.drawing import Picture, picture
from training.report.evidence import Evidence
from training.report.page import Section, Table
from training.report.words import count, number, ratio

MOST_TRIALS = 20
_TEXTS = ("family", "state", "parameters")


def data(evidence: Evidence) -> Section:
    """Table versions, or the file and how it was read, and the sizes of the parts."""
    trained, task = evidence.trained, evidence.task
    blocks = [Table(("part", "rows"), [[name, count(rows)] for name, rows in trained.rows.items()])]
    if task.table:
        blocks += _own_table(evidence)
    if task.lake_versions:
        blocks.append(Table(("table", "version"), [[name, str(version)] for name, version in sorted(task.lake_versions.items())]))
    order = f"in order of {task.time}" if task.time else "at random"
    apart = f", all rows with one {task.group} on the same side" if task.group else ""
    features = plural(len(task.features), "feature")
    text = f"{features}; rows were cut {order}{apart}. Same table versions, settings and seed: same model."
    return Section("Data", text, blocks)


def _own_table(evidence: Evidence) -> list[Table]:
    """The file that was learned from, how it was read, and what a careful person would look at."""
    task, form = evidence.task, evidence.task.table
    facts = [
        ("file", form["file"]),
        ("written as", form["form"]),
        ("SHA-256", form["sha256"]),
        ("rows", count(form["rows"])),
        ("target", f"{form['target']}{' = ' + form['classes'][1] if task.kind == 'binary' else ''}"),
        ("left out", ", ".join(form["request"]["drop"]) or "no column"),
        *((f"note {place}", note) for place, note in enumerate(form["notes"], 1)),
    ]
    found = [Table(("what", "value"), [list(fact) for fact in facts], 2, "The table")]
    if form["suspects"]:
        rows = [
            [one["column"], one["looks_like"], "used" if one["column"] in task.features else "left out", number(one["score"])]
            for one in form["suspects"]
        ]
        found.append(Table(("column", "looks like", "and is", "alone it scores"), rows, 3, "Columns to look at"))
    return found


def search(evidence: Evidence) -> Section:
    """What was tried, best first, and what the model is made of."""
    rows = evidence.trained.leaderboard.rows
    scored = [row for row in rows if isinstance(row.get("validation"), int | float) and isinstance(row.get("trial"), int)]
    blocks: list[Picture | Table] = []
    if scored:
        blocks.append(_trials(evidence, scored, len(rows)))
    if rows:
        texts = [name for name in _TEXTS if name in rows[0]]
        names = [*texts, *(name for name in rows[0] if name not in texts)]
        blocks.append(Table(names, [[_cell(row.get(name)) for name in names] for row in rows[:MOST_TRIALS]], len(texts)))
    members = [[spec.name, member.family, ratio(member.weight)] for spec in evidence.scorer.outputs_ for member in spec.members]
    blocks.append(Table(("output", "family", "weight"), members, 2, "What the model is made of"))
    left = f" The best {MOST_TRIALS} of them are listed." if len(rows) > MOST_TRIALS else ""
    tried = f"{plural(len(rows), 'configuration')} tried, compared on rows that the holdout is not part of.{left}"
    return Section("Search", tried, blocks)


def _trials(evidence: Evidence, scored: Sequence[Mapping[str, Any]], tried: int) -> Picture:
    best = scored[0]
    table = pd.DataFrame(scored)[["trial", "family", "validation"]]
    return picture(
        "search",
        "What was tried",
        f"The best of {plural(tried, 'trial')}, number {best['trial']} by {best['family']}, reached "
        f"{number(best['validation'])}.",
        lambda: charts.trials(table, f"{evidence.metric.title} on validation"),
    )


def _cell(value: object) -> str:
    if isinstance(value, float):
        return number(value)
    return "–" if value is None else str(value)
