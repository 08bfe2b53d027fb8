"""What an event of drift or lost quality leads to: a rule over what happened before, without any side effect."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Word = Literal["retrain", "wait", "mend"]
Outcome = Literal["", "running", "asked", "refused", "died", "failed", "shadow", "judged"]
_WEEK = timedelta(days=7)
_BROKEN_LASTS = timedelta(hours=48)
"""For how long a drift event that named broken columns counts: two nights of drift reports."""
_MOST_NAMED = 5


@dataclass(frozen=True)
class Event:
    """What was found about a champion.

    Attributes:
        kind: drift or quality.
        event_id: unique; an event is answered once.
        version: champion when it was found.
        broken: columns whose source seems to be broken.
    """

    use_case: str
    kind: Literal["drift", "quality"]
    event_id: str
    version: str
    broken: tuple[str, ...] = ()


@dataclass(frozen=True)
class Past:
    """An earlier event of the same use case, and what became of it.

    Attributes:
        at: when it was answered.
        broken: whether it named broken columns.
        outcome: how far its retraining has come; empty when none was decided. "died" = its process ended without a word.
        challenger: the version that it trained, None = none.
    """

    at: datetime
    kind: Literal["drift", "quality"]
    word: Word
    broken: bool
    outcome: Outcome
    challenger: str | None = None


@dataclass(frozen=True)
class Limits:
    """How often a use case may be retrained by the loop."""

    per_week: int
    cooldown: timedelta


@dataclass(frozen=True)
class Known:
    """What the rule has to know of registry and lake.

    Attributes:
        champion: its version, None = nothing is in force.
        newer: tables that the use case learns from and that grew since the champion was trained.
    """

    champion: str | None
    newer: tuple[str, ...]


@dataclass(frozen=True)
class Decision:
    """What is to be done, and why, in words."""

    word: Word
    reason: str


def decide(event: Event, past: Sequence[Past], known: Known, limits: Limits, at: datetime) -> Decision:
    """Retrain; or have the source mended, since a model that learns from garbage gets worse; or wait, for the first reason found.

    A retraining counts towards the week unless a person refused it, and its cool-down runs unless its process died: what died
    may be tried again at once, though not more often than the week allows.

    Args:
        past: earlier events of this use case, in any order.
        at: the present.
    """
    if event.broken:
        return Decision("mend", f"the source of {_named(event.broken)} seems to be broken: mend it, retraining would learn that")
    if _broken_lately(event, past, at):
        return Decision("mend", "the newest drift report names broken columns: mend their source before anything is retrained")
    waiting = _obsolete(event, known) or _busy(past) or _too_soon(past, limits, at) or _too_often(past, limits, at)
    if not waiting and not known.newer:
        waiting = f"no table that {event.use_case} learns from has grown since version {known.champion} was trained"
    if waiting:
        return Decision("wait", waiting)
    return Decision("retrain", f"{event.kind} of version {event.version}, and {_named(known.newer)} grew since it was trained")


def _broken_lately(event: Event, past: Sequence[Past], at: datetime) -> bool:
    """Whether a loss of quality may come from columns that the newest drift event named."""
    drifts = sorted((one for one in past if one.kind == "drift"), key=lambda one: one.at)
    return event.kind == "quality" and bool(drifts) and drifts[-1].broken and at - drifts[-1].at < _BROKEN_LASTS


def _obsolete(event: Event, known: Known) -> str:
    if known.champion is None:
        return f"{event.use_case} has no champion: train it first"
    if known.champion != event.version:
        return f"version {known.champion} is champion by now, the event speaks of version {event.version}"
    return ""


def _busy(past: Sequence[Past]) -> str:
    for one in past:
        if one.outcome in ("running", "asked"):
            return "another response is running" if one.outcome == "running" else "a person has been asked about an earlier event"
        if one.outcome == "shadow":
            return f"version {one.challenger} is in shadow and not judged yet"
    return ""


def _too_soon(past: Sequence[Past], limits: Limits, at: datetime) -> str:
    begun = [one.at for one in past if one.word == "retrain" and one.outcome != "died"]
    until = max(begun) + limits.cooldown if begun else at
    return f"the cool-down after the retraining before runs until {until:%Y-%m-%d %H:%M} UTC" if at < until else ""


def _too_often(past: Sequence[Past], limits: Limits, at: datetime) -> str:
    week = [one for one in past if one.word == "retrain" and one.outcome != "refused" and at - one.at < _WEEK]
    if len(week) < limits.per_week:
        return ""
    return f"{len(week)} retrainings within seven days, and OPORA_RETRAININGS_PER_WEEK allows {limits.per_week}"


def _named(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
