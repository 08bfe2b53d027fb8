"""Whether a new version should replace the champion, by a paired bootstrap on rows that neither was fitted on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from registry import models
from registry.bootstrap import Comparison, Undefined
from registry.candidate import Candidate, Unservable, admitted, load_candidate, predicted
from registry.holdout import Holdout, Predictions
from registry.lineage import advantage
from registry.rivalry import MARGIN, Rivalry, rivalry
from settings import Settings


@dataclass(frozen=True)
class Verdict:
    """What the gate decided and why, with the figures it compared.

    Attributes:
        promoted: whether the version is to be champion and, after `promotion.gate`, is.
        reason: the decision in words, with figures.
        challenger: its metric on the holdout; NaN where it could not be computed.
        champion: the champion's metric on the same rows, None when there was none to compare with.
        baseline: the naive predictor's metric.
        champion_version: what was champion when this was decided, None when nothing was.
        interval: 90 % bootstrap interval of the challenger's metric.
        comparison: challenger against champion; positive = the challenger is better.
        margin: how much worse was still acceptable, in the metric's units.
        by_output: the same comparison in each output that both have.
        live: figures of its time in shadow by name, where it had one.
    """

    promoted: bool
    reason: str
    challenger: float
    champion: float | None
    baseline: float
    champion_version: str | None = None
    interval: tuple[float, float] | None = None
    comparison: Comparison | None = None
    margin: float | None = None
    by_output: Mapping[str, Comparison] = field(default_factory=dict)
    live: Mapping[str, float] = field(default_factory=dict)

    @property
    def figures(self) -> dict[str, object]:
        """Everything but the decision and its words."""
        return {name: value for name, value in asdict(self).items() if name not in ("promoted", "reason")}


def judge(use_case: str, version: str, holdout: Holdout, margin: float = MARGIN, config: Settings | None = None) -> Verdict:
    """The gate's decision, without touching any alias.

    The rule, where d is how much better the challenger's metric is than the champion's on the same rows, and low the lower end
    of d's two-sided 90 % paired bootstrap interval, so that each conclusion errs in 5 % of cases:

    1. The challenger has to serve (`registry.admission`), and its own interval has to lie wholly beyond the naive baseline (of
       PR-AUC that of its advantage, since chance reaches more in draws with more cases).
    2. Without a champion that can be loaded and scored, that is enough.
    3. An output of several that is worse by more than m beyond chance (`registry.rivalry`) is a refusal, whatever the average.
    4. low > 0: it is better; promote.
    5. low >= -m: it is not worse by the margin m; promote if it is fresher, simpler or wider (`registry.lineage`), else refuse.
    6. Otherwise refuse: it is worse, or the rows are too few to exclude that.

    m is `margin` times the champion's advantage over the naive baseline, which means the same in every metric. Testing 4 and then
    5 needs no correction for two tests, since the hypotheses are nested. Sources: FDA, Non-Inferiority Clinical Trials to
    Establish Effectiveness (2016), for a margin as a share of the active control's effect; EMA, Points to consider on switching
    between superiority and non-inferiority (2000), for the order of the tests.
    """
    verdict = Verdict(False, "", float("nan"), None, holdout.baseline, models.champion_version(use_case, config))
    try:
        challenger = load_candidate(use_case, version, config)
        predictions = admitted(challenger, holdout)
        verdict = replace(verdict, challenger=holdout.score(predictions), interval=holdout.interval(predictions))
    except (Unservable, Undefined) as error:
        return replace(verdict, reason=f"refused: version {version} cannot be served or judged: {error}")
    if not _beats_baseline(verdict, holdout, predictions):
        return replace(verdict, reason=f"refused: {_own(verdict, holdout)} does not beat the naive baseline {_baseline(verdict)}")
    if verdict.champion_version is None:
        reason = f"promoted: {_own(verdict, holdout)} against the naive baseline {_baseline(verdict)}, and no champion yet"
        return replace(verdict, promoted=True, reason=reason)
    try:
        champion = load_candidate(use_case, verdict.champion_version, config)
        return _compared(verdict, challenger, predictions, champion, holdout, margin)
    except Unservable as error:
        reason = (
            f"promoted: {_own(verdict, holdout)} against the naive baseline {_baseline(verdict)}; "
            f"champion {verdict.champion_version} is no rival: {error}"
        )
        return replace(verdict, promoted=True, reason=reason)


def _compared(
    verdict: Verdict, challenger: Candidate, predictions: Predictions, champion: Candidate, holdout: Holdout, margin: float
) -> Verdict:
    """The verdict on the outputs that both have.

    Raises:
        Unservable: the champion has none of them, or cannot score the rows.
    """
    shared = [str(output) for output in holdout.labels.columns if output in champion.scorer.outputs]
    if not shared:
        raise Unservable(f"it predicts {', '.join(champion.scorer.outputs)} only")
    common = holdout.only(shared)
    found = rivalry(champion.version, common, predictions, predicted(champion, common), margin)
    change = found.overall
    figures = replace(verdict, champion=found.metric, comparison=change, margin=found.accepted, by_output=found.by_output)
    word, conclusion = _decide(change, found.accepted, advantage(challenger, champion))
    harm = _harm(found)
    if harm:
        word, conclusion = "refused", f"{conclusion}{', but' if word == 'promoted' else ';'} {harm}"
    ours = f"{holdout.figure.title} {figure(common.score(predictions))}"
    title = f"{ours} against {figure(found.metric)} of champion {champion.version}"
    rows = f"on the same {len(holdout.features):,} rows{_lacking(champion, holdout)}"
    difference = f"{_signed(change.difference)} in its favour (90 % interval {_signed(change.low)} to {_signed(change.high)})"
    return replace(figures, promoted=word == "promoted", reason=f"{word}: {title} {rows}, {difference}: {conclusion}")


def _harm(found: Rivalry) -> str:
    """A clause on the outputs that are worse by more than is accepted; empty when there is none."""
    told = [
        f"{output} is worse by {figure(-change.difference)} ({100 * found.level:.3g} % interval {figure(-change.high)} to "
        f"{figure(-change.low)})"
        for output, change in found.harmed.items()
    ]
    return f"{' and '.join(told)}, more than the accepted {figure(found.accepted)}" if told else ""


def _lacking(champion: Candidate, holdout: Holdout) -> str:
    """A clause on the columns that the champion has to do without here."""
    columns = champion.scorer.columns
    absent = [name for name in columns if name not in holdout.features.columns]
    some = ", ".join(absent[:5]) + " …" * (len(absent) > 5)
    return f" (which lack {len(absent)} of the champion's {len(columns)} columns: {some})" if absent else ""


def _decide(comparison: Comparison, margin: float, merits: str) -> tuple[str, str]:
    """The word and the conclusion, by the rule of `judge`."""
    if comparison.low > 0:
        return "promoted", "better"
    if comparison.low >= -margin:
        not_worse = f"not worse than the accepted {figure(margin)}"
        return (
            ("promoted", f"{not_worse}, and {merits}") if merits else ("refused", f"{not_worse}, but neither fresher nor simpler")
        )
    if comparison.high < 0:
        return "refused", "worse"
    return "refused", f"these rows do not exclude that it is worse by more than the accepted {figure(margin)}"


def _beats_baseline(verdict: Verdict, holdout: Holdout, predictions: Predictions) -> bool:
    if not holdout.figure.better(verdict.challenger, verdict.baseline):
        return False
    if holdout.metric == "pr_auc":
        # Chance reaches the share of cases, which differs from draw to draw as the figure does: they are compared on each.
        chance = {str(output): np.zeros(len(holdout.labels)) for output in holdout.labels.columns}
        return holdout.compare(predictions, chance).low > holdout.baseline - holdout.score(chance)
    return all(holdout.figure.better(bound, verdict.baseline) for bound in verdict.interval or ())


def _own(verdict: Verdict, holdout: Holdout) -> str:
    low, high = verdict.interval or (float("nan"), float("nan"))
    return f"{holdout.figure.title} {figure(verdict.challenger)} (90 % interval {figure(low)} to {figure(high)})"


def _baseline(verdict: Verdict) -> str:
    return figure(verdict.baseline)


def figure(value: float) -> str:
    """A metric for reading: large amounts in whole units, others with four digits, what is below a tenth with three."""
    if abs(value) >= 999.95:
        return f"{value:,.0f}"
    if value == 0:
        return "0.0000"
    return f"{value:#.3g}" if abs(value) < 0.1 else f"{value:#.4g}"


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + figure(value)
