"""The chapter on what moves the predictions, and the reasons the model would give."""

import numpy as np

from features.wording import plural
from training.report import explain
from training.report.drawing import Picture
from training.report.evidence import Evidence, Judged
from training.report.page import Section, Table
from training.report.words import percent

_MOST_REASONS = 10
_MOST_ROWS = 200
_FEWEST_ROWS = 10


def explanations(evidence: Evidence) -> Section:
    """A beeswarm of each view, one waterfall, and the reasons behind unfavourable decisions."""
    views = explain.views(evidence)
    blocks: list[Picture | Table] = [explain.beeswarm(evidence, view) for view in views]
    blocks.append(explain.waterfall(evidence, views[0]))
    blocks += [table for judged in evidence.judged if (table := _reasons(evidence, judged))]
    text = "Contributions are exact Shapley values in the model's margin space: with the baseline they add up to the margin."
    return Section("Explanations", text, blocks)


def _reasons(evidence: Evidence, judged: Judged) -> Table | None:
    """The reasons that rows on the unfavourable side of the strictest stored threshold would be given."""
    if not judged.decisions:
        return None
    decision = max(judged.decisions, key=lambda decision: decision.threshold)
    rows = np.flatnonzero((judged.predictions >= decision.threshold) != decision.favourable)
    if len(rows) < _FEWEST_ROWS:
        return None
    drawn = np.random.default_rng(evidence.seed).choice(rows, min(_MOST_ROWS, len(rows)), replace=False)
    given = explain.reasons_given(evidence, judged, np.sort(drawn), "down" if decision.favourable else "up")
    side = f"below {decision.name}" if decision.favourable else f"at or above {decision.name}"
    return Table(
        ("reason", "share of them"),
        [[title, percent(times / len(drawn), 0)] for title, times in given.most_common(_MOST_REASONS)],
        title=f"Reasons for {judged.output}: {plural(len(drawn), 'row')} {side}, at most four reasons each, none protected",
    )
