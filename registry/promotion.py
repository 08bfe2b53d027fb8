"""The gate between a new version and the alias `champion`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from registry import models
from registry.aliases import ChampionChanged, NoSuchVersion, move_champion, nominate, record_refusal, settle
from registry.holdout import Holdout, evaluate
from registry.judgement import Verdict, judge
from registry.rivalry import MARGIN
from settings import Settings

__all__ = ["MARGIN", "Evidence", "Holdout", "Verdict", "evaluate", "gate", "judge", "postpone"]


@dataclass(frozen=True)
class Evidence:
    """What live traffic said of a version before it was judged.

    Attributes:
        sentence: in words, told with the verdict.
        figures: by name, kept with the verdict.
        refusal: why it must not become champion whatever the holdout says; empty = nothing stands against it.
    """

    sentence: str
    figures: Mapping[str, float]
    refusal: str = ""


def gate(
    use_case: str,
    version: str,
    holdout: Holdout,
    margin: float = MARGIN,
    config: Settings | None = None,
    evidence: Evidence | None = None,
) -> Verdict:
    """Judge `version` by the rule of `judge`, make it champion when it passes, and record either in the ledger.

    The version gets the alias `challenger` first, unless it has it, and loses it with the verdict. Where another version became
    champion while this one was being judged, this one is refused: it was not compared with that champion.
    """
    settle(use_case, config)
    if models.alias_version(use_case, models.CHALLENGER, config) != version:
        nominate(use_case, version, config)
    verdict = _with(evidence, judge(use_case, version, holdout, margin, config))
    if verdict.promoted:
        try:
            move_champion(use_case, version, verdict.champion_version, "promote", verdict.reason, verdict.figures, config)
        except (ChampionChanged, NoSuchVersion) as error:
            verdict = replace(verdict, promoted=False, reason=f"refused: {error}")
    if not verdict.promoted:
        record_refusal(use_case, version, verdict.champion_version, verdict.reason, verdict.figures, config)
    models.client(config).set_model_version_tag(use_case, version, models.GATE_TAG, verdict.reason)
    return verdict


def postpone(use_case: str, version: str, holdout: Holdout, config: Settings | None = None) -> Verdict:
    """Make `version` challenger, which services score in shadow, and leave it to a later `gate` to judge it."""
    settle(use_case, config)
    nominate(use_case, version, config)
    reason = "is challenger: it scores in shadow before the gate judges it"
    return Verdict(False, reason, float("nan"), None, holdout.baseline, models.champion_version(use_case, config))


def _with(evidence: Evidence | None, verdict: Verdict) -> Verdict:
    if evidence is None:
        return verdict
    verdict = replace(verdict, live=evidence.figures, reason=f"{verdict.reason}; {evidence.sentence}")
    if not evidence.refusal:
        return verdict
    return replace(verdict, promoted=False, reason=f"refused: {evidence.refusal}; {evidence.sentence}")
