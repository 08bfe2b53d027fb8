"""The gate between a new version and the alias `champion`."""

from dataclasses import replace

from registry import models
from registry.aliases import ChampionChanged, NoSuchVersion, move_champion, nominate, record_refusal, settle
from registry.holdout import Holdout, evaluate
from registry.judgement import MARGIN, Verdict, judge
from settings import Settings

__all__ = ["MARGIN", "Holdout", "Verdict", "evaluate", "gate", "judge"]


def gate(use_case: str, version: str, holdout: Holdout, margin: float = MARGIN, config: Settings | None = None) -> Verdict:
    """Judge `version` by the rule of `judge`, make it champion when it passes, and record either in the ledger.

    The version gets the alias `challenger` first. Where another version became champion while this one was being judged, this
    one is refused: it was not compared with that champion.
    """
    settle(use_case, config)
    nominate(use_case, version, config)
    verdict = judge(use_case, version, holdout, margin, config)
    if verdict.promoted:
        try:
            move_champion(use_case, version, verdict.champion_version, "promote", verdict.reason, verdict.figures, config)
        except (ChampionChanged, NoSuchVersion) as error:
            verdict = replace(verdict, promoted=False, reason=f"refused: {error}")
    if not verdict.promoted:
        record_refusal(use_case, version, verdict.champion_version, verdict.reason, verdict.figures, config)
    models.client(config).set_model_version_tag(use_case, version, "opora.gate", verdict.reason)
    return verdict
