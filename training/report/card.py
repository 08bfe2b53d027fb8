"""The model card: what a version is, in Markdown short enough for the registry's description."""

from features.wording import plural
from training.fairness import GroupFigures
from training.report import groups
from training.report.evidence import Evidence
from training.report.standing import against_champion, as_sent
from training.report.words import count, estimate, number, percent
from training.task import TrainingTask

LONGEST = 5000
"""Characters that MLflow's registry keeps of a version's description."""

_CUT = "\n\n… shortened: the report has the rest."

_PURPOSES = {
    "income": "A client's monthly income in tenge, for the bank's staff and for segments and limits that depend on income.",
    "prescoring": "How each partner bank would probably decide on an application form, for the shop and the applicant.",
    "recommendation": "Whether a client would accept a product, for ranking what to offer.",
    "fraud": "Whether a payment is fraudulent, before it leaves the bank.",
}
_LIMITS = {
    "income": "Not for declining anybody on its own; incomes outside the range of the verified ones are extrapolated.",
    "prescoring": "A forecast of the banks' decisions, not a decision; it inherits whatever bias those decisions had.",
    "recommendation": "Ranks products by acceptance, not by need or affordability; eligibility rules come on top.",
    "fraud": "Learned from frauds that were found; a new kind of fraud may look like an ordinary payment.",
}


def model_card(evidence: Evidence, fairness: list[GroupFigures], version: str) -> str:
    """The card of a version.

    Args:
        evidence: of the report on it (`training.report.Report.evidence`).
        fairness: of the report on it (`training.report.Report.fairness`).
        version: its number in the registry.

    Returns:
        At most `LONGEST` characters.
    """
    task = evidence.task
    parts = [
        f"# {task.name} version {version}",
        _PURPOSES.get(task.name, f"Predicts {task.predicts}."),
        f"## Quality\n{_quality(evidence)}",
        f"## Fairness\n{groups.summary(evidence, fairness)}{_broken(evidence, fairness)}",
        f"## Data\n{_data(evidence)}",
        f"## Limits\n{_limits(evidence)}",
        f"## Reproduce\n`make reproduce VERSION={task.name}/{version}` retrains from the same table versions, settings and seed "
        f"({evidence.seed}), and compares the bytes.",
    ]
    text = "\n\n".join(parts)
    return text if len(text) <= LONGEST else text[: LONGEST - len(_CUT)] + _CUT


def _quality(evidence: Evidence) -> str:
    metric = evidence.metric.title
    lines = [
        f"- {metric} {estimate(evidence.estimate)} on {count(evidence.sampled)} untouched rows (90 % bootstrap interval); "
        f"naive baseline {number(evidence.trained.holdout.baseline)}.{as_sent(evidence)}",
        f"- {against_champion(evidence)}",
    ]
    if len(evidence.judged) > 1:
        by_output = ", ".join(f"{judged.output} {estimate(judged.estimate)}" for judged in evidence.judged)
        lines.append(f"- By output: {by_output}.")
    for judged in evidence.judged:
        if judged.covered is not None:
            lines.append(f"- 90 % intervals of {judged.output} cover {percent(float(judged.covered.mean()))} of the labels.")
        if judged.decisions:
            stored = ", ".join(f"{decision.name} {number(decision.threshold)}" for decision in judged.decisions)
            lines.append(f"- Thresholds of {judged.output}: {stored}.")
    return "\n".join(lines)


def _broken(evidence: Evidence, fairness: list[GroupFigures]) -> str:
    lines = [
        f"\n- {found.output}, {evidence.title(found.column)}: {rule.group} is favoured {number(rule.ratio, 2)} times as often as "
        f"{rule.best} (90 % interval {number(rule.low, 2)} to {number(rule.high, 2)})."
        for found in fairness
        if (rule := found.four_fifths) and not rule.met
    ]
    return f"\n\nBelow four fifths:\n{''.join(lines)}" if lines else ""


def _data(evidence: Evidence) -> str:
    task, rows = evidence.task, evidence.trained.rows
    versions = ", ".join(f"{name} {version}" for name, version in sorted(task.lake_versions.items()))
    if task.table:
        versions = f"`{task.table['file']}` (SHA-256 `{task.table['sha256'][:12]}…`)"
    families = sorted({member.family for spec in evidence.scorer.outputs_ for member in spec.members})
    order = f"in order of `{task.time}`" if task.time else "at random"
    return (
        f"{plural(len(task.features), 'feature')} from {versions}. Rows, cut {order}: "
        f"{', '.join(f'{name} {count(size)}' for name, size in rows.items())}. Model: {', '.join(families)}.{_to_look_at(task)}"
    )


def _to_look_at(task: TrainingTask) -> str:
    """What is suspicious among the features of a table of the user's own."""
    used = [one for one in task.table.get("suspects", ()) if one["column"] in task.features]
    odd = ", ".join(one["column"] for one in used if one["why"] in ("leak", "id"))
    copies = ", ".join(f"{one['column']} is a {one['looks_like']}" for one in used if one["why"] == "copy")
    first = f" Look at {odd} first: each predicts almost perfectly alone, or numbers the rows." if odd else ""
    return first + (f" Said twice: {copies}." if copies else "")


def _limits(evidence: Evidence) -> str:
    task = evidence.task
    held = ", ".join(f"`{name}`" for name in task.protected if name in task.features)
    seen = f"Protected attributes among the features: {held}; none of them is ever given as a reason. " if held else ""
    special = _LIMITS.get(task.name, "Fit for rows like those it learned from, and no others.")
    return f"{special} {seen}When the drift report says that the rows have changed, retrain before relying on it."
