"""What speaks for a version that is merely not worse: newer data, a smaller model, or an output that the champion lacks."""

from registry.candidate import Candidate

_SMALLER = 0.9
"""Files have to shrink to this share before a model counts as simpler: less is the noise of two trainings."""


def advantage(challenger: Candidate, champion: Candidate) -> str:
    """What the challenger has over the champion apart from its figures, in words; empty when nothing."""
    return " and ".join(
        filter(None, (_wider(challenger, champion), _fresher(challenger, champion), _simpler(challenger, champion)))
    )


def _wider(challenger: Candidate, champion: Candidate) -> str:
    added = [output for output in challenger.scorer.outputs if output not in champion.scorer.outputs]
    return f"wider (it also predicts {', '.join(added)})" if added else ""


def _fresher(challenger: Candidate, champion: Candidate) -> str:
    """Newer lake versions and none older, or newer newest rows (`data_until`, ISO 8601 in UTC)."""
    new, old = challenger.scorer.metadata, champion.scorer.metadata
    ours, theirs = new.get("lake_versions") or {}, old.get("lake_versions") or {}
    shared = ours.keys() & theirs.keys()
    newer = sorted(table for table in shared if ours[table] > theirs[table])
    if newer and all(ours[table] >= theirs[table] for table in shared):
        return f"fresher ({newer[0]} at version {ours[newer[0]]} instead of {theirs[newer[0]]})"
    until, before = new.get("data_until"), old.get("data_until")
    return f"fresher (rows until {until} instead of {before})" if until and before and until > before else ""


def _simpler(challenger: Candidate, champion: Candidate) -> str:
    if challenger.members < champion.members:
        return f"simpler ({challenger.members} boosters instead of {champion.members})"
    if challenger.members == champion.members and challenger.size <= _SMALLER * champion.size:
        return f"simpler ({challenger.size:,} bytes of trees instead of {champion.size:,})"
    return ""
