"""What the loop did: every decision, question, answer, training and verdict, in the order it happened.

`python -m monitoring.loop_log` prints the newest, one line an event.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, Engine, Row, insert, select

from clock import now
from monitoring.decisions import Decision, Event, Outcome, Past, Word
from monitoring.leases import check, holder_of, take
from monitoring.loop_tables import STEPS, open_loop, reading, writing
from settings import settings

Step = Literal["decided", "asked", "answered", "trained", "failed", "gated"]
_ENDS = ("failed", "gated", "trained")
UNANSWERED = "nobody answered in time"
_MOST_PAST = 500
"""Newest steps of a use case that a decision looks at: months of nightly events."""


@dataclass(frozen=True)
class Begun:
    """How an event was taken.

    Attributes:
        state: "new" (decided just now), "resumed" (the same run goes on with it), "known" (it was answered before, or another
            run is at it).
        decision: the one that stands.
        asked_until: how long a person's answer is waited for, if one has been asked; None = not asked yet.
    """

    state: Literal["new", "resumed", "known"]
    decision: Decision
    asked_until: datetime | None = None


@dataclass(frozen=True)
class Challenger:
    """A version that the loop trained and that no gate has judged yet."""

    event: Event
    version: str
    trained_at: datetime


@dataclass(frozen=True)
class Told:
    """One event as a person reads it: what was decided, what came of it and the gate's word (empty = none yet)."""

    at: datetime
    use_case: str
    event: str
    decision: str
    reason: str
    version: str
    verdict: str


class LoopLog:
    """The steps of all events, in the database that `loop_tables.open_loop` opened."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def begin(
        self, event: Event, holder: str, rule: Callable[[Sequence[Past]], Decision], at: datetime, lease: timedelta
    ) -> Begun:
        """Decide an event once, whoever delivers it how often; a retraining takes the lease of its use case.

        Args:
            holder: the run that answers; the same run may come back to an event that it has not finished.
            rule: decides by what became of earlier events of the use case.
        """
        with writing(self.engine) as connection:
            steps = _steps(connection, STEPS.c.event_id == event.event_id)
            if steps:
                return _again(connection, steps, event, holder, at, lease)
            decision = rule(_past(connection, event.use_case, at))
            _append(connection, event, "decided", decision.word, decision.reason, holder, at)
            if decision.word == "retrain":
                take(connection, event.use_case, holder, lease, at)
            return Begun("new", decision)

    def add(self, event: Event, step: Step, decision: str, reason: str, holder: str, **more: Any) -> None:
        """Record a step; `more` are further columns, figures as a mapping.

        Raises:
            LeaseLost: another process has taken over the training of this use case.
        """
        with writing(self.engine) as connection:
            if step == "trained":
                check(connection, event.use_case, holder)
            _append(connection, event, step, decision, reason, holder, now(), **more)

    def challengers(self) -> list[Challenger]:
        """Versions that wait for the gate, oldest first."""
        with reading(self.engine) as connection:
            steps = _steps(connection, STEPS.c.step.in_(("trained", "gated")))
        judged = {step.event_id for step in steps if step.step == "gated"}
        return [
            Challenger(_event(step), step.challenger, step.at)
            for step in steps
            if step.step == "trained" and step.event_id not in judged
        ]

    def close_unanswered(self, at: datetime) -> list[Event]:
        """Record as refused what a person was asked about and nobody answered in time; returns those events."""
        with writing(self.engine) as connection:
            steps = _steps(connection, STEPS.c.step.in_(("asked", "answered")))
            last = {step.event_id: step for step in steps}
            late = [step for step in last.values() if step.step == "asked" and step.until <= at]
            for step in late:
                _append(connection, _event(step), "answered", "refuse", UNANSWERED, step.holder, at)
        return [_event(step) for step in late]

    def told(self, most: int) -> list[Told]:
        """The newest events, newest first."""
        with reading(self.engine) as connection:
            newest = select(STEPS.c.event_id).where(STEPS.c.step == "decided").order_by(STEPS.c.sequence.desc()).limit(most)
            steps = _steps(connection, STEPS.c.event_id.in_(newest))
        return [_tell(of_event) for of_event in reversed(_by_event(steps))]


def _again(connection: Connection, steps: Sequence[Row[Any]], event: Event, holder: str, at: datetime, lease: timedelta) -> Begun:
    decided, last = steps[0], steps[-1]
    decision = Decision(decided.decision, decided.reason)
    unfinished = decision.word == "retrain" and last.step not in _ENDS and last.decision != "refuse"
    if not unfinished or decided.holder != holder or not take(connection, event.use_case, holder, lease, at):
        return Begun("known", decision)
    return Begun("resumed", decision, next((step.until for step in steps if step.step == "asked"), None))


def _append(
    connection: Connection, event: Event, step: Step, decision: str, reason: str, holder: str, at: datetime, **more: Any
) -> None:
    figures: Mapping[str, Any] | None = more.pop("figures", None)
    row = {
        "at": at,
        "event_id": event.event_id,
        "use_case": event.use_case,
        "kind": event.kind,
        "version": event.version,
        "step": step,
        "decision": decision,
        "reason": reason,
        "broken": orjson.dumps(event.broken).decode(),
        "holder": holder,
        "figures": None if figures is None else orjson.dumps(figures, option=orjson.OPT_SERIALIZE_NUMPY).decode(),
    }
    connection.execute(insert(STEPS).values(row | more))


def _steps(connection: Connection, *where: Any) -> Sequence[Row[Any]]:
    return connection.execute(select(STEPS).where(*where).order_by(STEPS.c.sequence)).all()


def _by_event(steps: Sequence[Row[Any]]) -> list[list[Row[Any]]]:
    found: dict[str, list[Row[Any]]] = {}
    for step in steps:
        found.setdefault(step.event_id, []).append(step)
    return list(found.values())


def _past(connection: Connection, use_case: str, at: datetime) -> list[Past]:
    newest = select(STEPS.c.sequence).where(STEPS.c.use_case == use_case).order_by(STEPS.c.sequence.desc()).limit(_MOST_PAST)
    busy = holder_of(connection, use_case, at)
    events = _by_event(_steps(connection, STEPS.c.sequence.in_(newest)))
    return [_one(steps, busy, at) for steps in events if steps[0].step == "decided"]


def _one(steps: Sequence[Row[Any]], busy: str | None, at: datetime) -> Past:
    decided, last = steps[0], steps[-1]
    word: Word = decided.decision
    outcome = _outcome(last, busy, at) if word == "retrain" else ""
    return Past(decided.at, decided.kind, word, decided.broken != "[]", outcome, last.challenger)


def _outcome(last: Row[Any], busy: str | None, at: datetime) -> Outcome:
    """How far a retraining has come; what neither ended nor is being worked on has died."""
    ended: dict[str, Outcome] = {"trained": "shadow", "failed": "failed", "gated": "judged"}
    if last.step in ended:
        return ended[last.step]
    if last.decision == "refuse":
        return "refused"
    if last.step == "asked":
        return "asked" if last.until > at else "refused"
    return "running" if busy == last.holder else "died"


def _event(step: Row[Any]) -> Event:
    return Event(step.use_case, step.kind, step.event_id, step.version, tuple(orjson.loads(step.broken)))


def _tell(steps: Sequence[Row[Any]]) -> Told:
    decided, last = steps[0], steps[-1]
    gated = last if last.step == "gated" else None
    stopped = last.step == "failed" or last.decision == "refuse"
    return Told(
        at=decided.at,
        use_case=decided.use_case,
        event=f"{decided.kind} of version {decided.version}",
        decision=f"{decided.decision}, {last.step}" if stopped else decided.decision,
        reason=last.reason if stopped else decided.reason,
        version=last.challenger or "",
        verdict=gated.reason if gated else "",
    )


def main(arguments: list[str]) -> int:
    """Print the newest events as a table; returns the exit status."""
    parser = argparse.ArgumentParser(prog="make loop", description="What drift and lost quality have led to, newest first.")
    parser.add_argument("--most", type=int, default=20, help="how many events")
    told = LoopLog(open_loop(settings())).told(parser.parse_args(arguments).most)
    if not told:
        print("No event of drift or lost quality has been answered yet.")
        return 0
    titles = ("time (UTC)", "use case", "event", "decision", "version", "reason", "gate")
    rows = [(f"{one.at:%Y-%m-%d %H:%M}", *astuple(one)[1:4], one.version or "-", one.reason, one.verdict or "-") for one in told]
    lines = [titles, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
