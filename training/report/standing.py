"""The chapter on quality: the task's metric with its interval, against the naive baseline and the champion."""

from features.wording import plural
from registry.rivalry import Rivalry
from training.report import charts
from training.report.drawing import picture
from training.report.evidence import Evidence, Judged
from training.report.page import Section, Table
from training.report.words import count, estimate, number, signed, span


def quality(evidence: Evidence) -> Section:
    """The metric overall and by output."""
    metric, naive = evidence.metric.title, evidence.trained.holdout.baseline
    named = [(judged.output, judged.estimate) for judged in evidence.judged]
    if len(named) > 1:
        named = [("average", evidence.estimate), *named]
    rivalry = evidence.rivalry
    champion = rivalry.metric if rivalry else None
    drawn = picture(
        "metric",
        f"{metric} on the holdout",
        f"{metric} is {estimate(evidence.estimate)}, where the naive baseline reaches {number(naive)}; bars are 90 % intervals.",
        lambda: charts.estimates(named, naive, champion, metric),
    )
    against = ("better than the champion by", f"{100 * rivalry.level:.3g} % interval of it") if rivalry else ()
    headings = ("output", "rows", metric, "90 % interval", *against)
    table = Table(headings, [_row(evidence, judged) for judged in evidence.judged])
    return Section("Quality", f"{_direction(evidence)} {against_champion(evidence)}", (drawn, table))


def _direction(evidence: Evidence) -> str:
    better = "Higher" if evidence.metric.greater_is_better else "Lower"
    rows = plural(evidence.sampled, "holdout row")
    return f"{better} is better. All figures are on {rows} that neither the search nor the fit has seen.{as_sent(evidence)}"


def as_sent(evidence: Evidence) -> str:
    """What callers may lack is absent from the rows, and what it would bring."""
    task = evidence.task
    if not task.sometimes_absent:
        return ""
    lacking = plural(len(task.sometimes_absent), "column")
    complete = f"{evidence.metric.title} is {number(evidence.trained.metrics[task.complete_figure])}"
    return f" The rows lack the {lacking} that callers may lack, as requests do; with all columns {complete}."


def against_champion(evidence: Evidence) -> str:
    """The comparison with the champion in a sentence."""
    rivalry = evidence.rivalry
    if rivalry is None:
        return "There is no champion to compare with."
    change = rivalry.overall
    verdict = "better" if change.low > 0 else "worse" if change.high < 0 else "not told apart by these rows"
    side = "better" if change.difference >= 0 else "worse"
    return (
        f"Against champion {rivalry.version} on the same rows the new model is {verdict}: {evidence.metric.title} "
        f"{number(abs(change.difference), 3)} {side}, with a 90 % interval of {signed(change.low)} to {signed(change.high)} "
        f"from a paired bootstrap.{_harm(rivalry)}"
    )


def _harm(rivalry: Rivalry) -> str:
    """Which single outputs the gate refuses the model for."""
    told = [
        f"{output} by {number(-change.difference, 3)} ({100 * rivalry.level:.3g} % interval {span(-change.high, -change.low)})"
        for output, change in rivalry.harmed.items()
    ]
    accepted = f"more than the accepted {number(rivalry.accepted, 3)}: the gate refuses that"
    return f" Worse for itself is {' and '.join(told)}, {accepted}." if told else ""


def _row(evidence: Evidence, judged: Judged) -> list[str]:
    interval = judged.estimate.interval
    row = [judged.output, count(len(judged.labels)), number(judged.estimate.value)]
    row.append("–" if interval is None else span(*interval))
    if evidence.rivalry:
        change = evidence.rivalry.by_output.get(judged.output)
        row += [signed(change.difference), f"{signed(change.low)} to {signed(change.high)}"] if change else ["–", "–"]
    return row
