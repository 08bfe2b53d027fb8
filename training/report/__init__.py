"""The report on a trained version: one self-contained HTML page, its pictures, and the evidence that the model card repeats."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.columns import FeatureColumn
from features.wording import plural
from training.fairness import GroupFigures
from training.report import groups
from training.report.amounts import amounts, intervals
from training.report.classes import class_probabilities, classes
from training.report.drawing import Picture
from training.report.evidence import WRONG_ANSWERS, Evidence, gather
from training.report.explanations import explanations
from training.report.origins import data, search
from training.report.page import Document, render
from training.report.probabilities import decisions, probabilities
from training.report.standing import quality
from training.report.words import count, number, percent, ratio, signed, span
from training.task import TrainingTask
from training.thresholds import CostMatrix

if TYPE_CHECKING:
    from registry.loading import LoadedModel
    from training.fit import Trained

_OF_KIND = {
    "binary": (probabilities, decisions),
    "regression": (amounts, intervals),
    "multiclass": (class_probabilities, classes),
}
_NOUNS = {"binary": "probability", "regression": "amount", "multiclass": "class"}


@dataclass(frozen=True)
class Report:
    """`html` is one page with everything in it; `pictures` are the same pictures as PNG by file name."""

    html: str
    pictures: dict[str, bytes]
    evidence: Evidence
    fairness: list[GroupFigures]


def report(
    trained: "Trained",
    task: TrainingTask,
    champion: "LoadedModel | None",
    titles: Mapping[str, FeatureColumn] | None = None,
    costs: CostMatrix = WRONG_ANSWERS,
) -> Report:
    """Judge `trained` on its holdout and write it up; the champion, if any, is judged on the same rows.

    No row of a client is shown but one typical row's features, without keys, times and rare texts.

    Args:
        trained: the scorer folder, its holdout and what was tried.
        task: what was learned.
        champion: the version in force, None when there is none yet.
        titles: columns by name whose English titles stand for the names.
        costs: of the outcomes of a decision, for the threshold table.
    """
    evidence = gather(trained, task, champion, titles or {}, costs)
    found = groups.by_group(evidence)
    chapters = [quality(evidence), *(chapter(evidence) for chapter in _OF_KIND[task.kind]), groups.section(evidence, found)]
    chapters += [chapter(evidence) for chapter in (explanations, data, search)]
    pictures = [block for chapter in chapters for block in chapter.blocks if isinstance(block, Picture)]
    html = render(Document(f"Model report: {task.name}", _summary(evidence), _key_figures(evidence, found), chapters))
    return Report(html, {drawn.file: drawn.png for drawn in pictures}, evidence, found)


def _summary(evidence: Evidence) -> str:
    metadata = evidence.scorer.metadata
    trained_at = str(metadata.get("trained_at", ""))[:16].replace("T", " ")
    families = sorted({member.family for output in evidence.scorer.outputs_ for member in output.members})
    return (
        f"Predicts the {_NOUNS[evidence.task.kind]} of {evidence.task.predicts} from "
        f"{plural(len(evidence.task.features), 'feature')} with {', '.join(families)}; trained {trained_at} "
        f"UTC, seed {evidence.seed}."
    )


def _key_figures(evidence: Evidence, found: list[GroupFigures]) -> list[tuple[str, str, str]]:
    metric = evidence.metric.title
    interval = evidence.estimate.interval
    remark = "" if interval is None else f"90 % interval {span(*interval)}"
    figures = [
        (f"{metric} on the holdout", number(evidence.estimate.value), remark),
        ("Naive baseline", number(evidence.trained.holdout.baseline), "a constant, from the same data"),
    ]
    if evidence.rivalry:
        change = evidence.rivalry.overall
        side = "better" if change.difference >= 0 else "worse"
        remark = f"{side}; 90 % interval {signed(change.low)} to {signed(change.high)}"
        figures.append((f"Against champion {evidence.rivalry.version}", signed(change.difference), remark))
    figures += [
        (f"Interval coverage: {judged.output}", percent(float(judged.covered.mean())), "of labels inside their 90 % interval")
        for judged in evidence.judged
        if judged.covered is not None
    ]
    ruled = [rule for rule in (group.four_fifths for group in found) if rule]
    if ruled:
        met = sum(rule.met for rule in ruled)
        figures.append(("Four-fifths rule", f"{met} of {len(ruled)} met", f"lowest ratio {ratio(min(r.ratio for r in ruled))}"))
    rows = count(sum(evidence.trained.rows.values()))
    figures.append(("Rows", rows, f"{plural(evidence.trained.rows.get('holdout', evidence.sampled), 'row')} held out"))
    return figures
