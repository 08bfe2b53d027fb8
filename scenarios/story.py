"""What a scenario prints: a line for each day, and the verdict on its promises."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from monitoring.estimates import Coverage
from monitoring.estimation import NotEstimable
from monitoring.quality import METRIC_OF, Realised
from registry.metrics import METRICS
from scenarios.catalogue import BEGIN, Scenario
from scenarios.watching import Evening

TRAILING_DAYS = 14
HEADER = (
    f"{'day':<15}{'rows':>6} {'labels':>6} {'true':>8} {'estimated':>24} {'realised':>24} {'drift':>6}  "
    f"{'champion':<9}alarms and what was done"
)


@dataclass(frozen=True)
class Day:
    """A day as it was lived."""

    number: int
    date: date
    rows: int
    labels: int
    truth: float | None
    evening: Evening

    @property
    def line(self) -> str:
        """The day in one line, and one more for each thing that was done."""
        outcome, quality = self.evening.watched.outcome, self.evening.quality
        drift = "" if outcome is None else f"{outcome.share:.0%}"
        estimated = "withheld" if isinstance(quality.estimated, NotEstimable) else _between(quality.estimated)
        parts = [
            f"{self.number:>3} {self.date}".ljust(15) + f"{self.rows:>6} {self.labels:>6} {_figure(self.truth):>8}",
            f"{estimated:>24} {_between(quality.realised):>24} {drift:>6}  {self.evening.version:<9}{', '.join(self.alarms)}",
        ]
        return "\n".join([" ".join(parts).rstrip(), *(f"      {done}" for done in self.done)])

    @property
    def alarms(self) -> tuple[str, ...]:
        """What was alarmed about."""
        watched = self.evening.watched
        named = []
        if watched.broken:
            named.append(f"broken: {', '.join(watched.broken[:3])}")
        if watched.outcome is not None and watched.outcome.alarm:
            named.append("drift of the predictions" if watched.outcome.predictions_drifted else "drift of the features")
        if watched.lately.surges:
            named.append("surge")
        return (*named, "quality") if self.evening.quality.alarm else tuple(named)

    @property
    def promoted(self) -> bool:
        """Whether a version became champion."""
        return any(one.promoted for one in self.evening.gated)

    @property
    def done(self) -> tuple[str, ...]:
        """What the gate and the loop did, in sentences."""
        gated = [f"gate: version {one.version} {one.reason}" for one in self.evening.gated]
        found = [one.sentence for one in self.evening.watched.lately.told[:2]]
        quality = self.evening.quality
        if quality.alarm and quality.early is not None:
            found.append(quality.early.sentence)
        answers = [
            f"{answer.event.kind}: {answer.response.decision}"
            + (f", version {answer.response.version}" if answer.response.version else "")
            + f": {answer.response.reason}"
            for answer in self.evening.answers
        ]
        return (*gated, *found, *answers)


def true_metric(use_case: str, scores: pd.DataFrame) -> float | None:
    """The use case's metric of scores against what the simulator knows; None where it has no value."""
    if scores.empty or (use_case == "fraud" and scores["truth"].nunique() < 2):
        return None
    truth, given = scores["truth"].to_numpy(dtype="float64"), scores["prediction"].to_numpy(dtype="float64")
    return METRICS[METRIC_OF[use_case]].score(truth, given, np.ones(len(scores)))


def trailing(use_case: str, scores: pd.DataFrame, day: date, days: int = TRAILING_DAYS) -> float | None:
    """The same over the `days` days that end with `day`."""
    return true_metric(use_case, scores[(scores["day"] > day - timedelta(days=days)) & (scores["day"] <= day)])


@dataclass(frozen=True)
class Outcome:
    """How a scenario ended.

    Attributes:
        before: the true metric on the days before the onset.
        after: of the champion of that time, from the onset until another one took over.
        last: on the last 14 days.
        detected: days from the onset to the first alarm, the day of the onset being day 1; None = never.
    """

    scenario: Scenario
    days: tuple[Day, ...]
    before: float | None
    after: float | None
    last: float | None
    detected: int | None
    coverage: Coverage

    @property
    def regained(self) -> float | None:
        """(last - after) / (before - after): share of the lost metric that the last champion regains."""
        if self.before is None or self.after is None or self.last is None or self.before == self.after:
            return None
        return (self.last - self.after) / (self.before - self.after)

    @property
    def withheld(self) -> int:
        """Days without an estimate."""
        return sum(isinstance(day.evening.quality.estimated, NotEstimable) for day in self.days)

    def verdicts(self) -> list[tuple[str, str, bool]]:
        """What was promised, what came of it, and whether it held."""
        promise = self.scenario.promise
        alarmed = [day for day in self.days if day.alarms]
        promoted = [day for day in self.days if day.promoted]
        retrained = [one for day in self.days for one in day.evening.answers if one.response.decision == "retrain"]
        found = []
        if promise.detected_within is not None:
            held = self.detected is not None and self.detected <= promise.detected_within
            found.append((f"detected within {promise.detected_within} days", f"{self.detected or 'never'}", held))
        if promise.alarms is not None:
            found.append((f"at most {promise.alarms} days with an alarm", f"{len(alarmed)}", len(alarmed) <= promise.alarms))
        if promise.promotions is not None:
            low, high = promise.promotions
            asked = "nothing promoted" if high == 0 else f"{low} to {high} promotions"
            found.append((asked, f"{len(promoted)} of {len(retrained)} retrainings", low <= len(promoted) <= high))
        if promise.regained is not None:
            told = "not known" if self.regained is None else f"{self.regained:.0%}"
            found.append((f"regains {promise.regained:.0%} of what was lost", told, (self.regained or 0) >= promise.regained))
        if promise.mended:
            named = {name for day in self.days for name in day.evening.watched.broken}
            found.append(("the source is named, nothing retrained", ", ".join(sorted(named)), bool(named) and not retrained))
        if promise.coverage is not None:
            share = self.coverage.share or 0.0
            found.append((f"{promise.coverage:.0%} of the estimates' intervals hold", f"{share:.0%}", share >= promise.coverage))
        return found

    @property
    def summary(self) -> str:
        """The figures and the verdict on every promise."""
        title = METRICS[METRIC_OF[self.scenario.use_case]].title
        judged = self.coverage
        lines = [
            f"{title} before the onset {_figure(self.before)}, after it with the old champion {_figure(self.after)}, "
            f"on the last {TRAILING_DAYS} days {_figure(self.last)}",
            f"{judged.held} of {judged.judged} intervals of estimates held what was realised; none given on {self.withheld} days",
            *(f"{'kept' if held else 'BROKEN':<8}{asked:<48}{came}" for asked, came, held in self.verdicts()),
        ]
        return "\n".join(lines)

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        return all(held for _, _, held in self.verdicts())


def outcome(scenario: Scenario, days: Sequence[Day], scores: pd.DataFrame, coverage: Coverage) -> Outcome:
    """What came of a scenario, by its days and all its scores."""
    onset = scenario.shift.onset if scenario.shift else BEGIN + timedelta(days=scenario.days)
    first = scores["version"].iloc[0]
    later = scores[scores["day"] >= onset]
    swaps = later.index[later["version"] != first]
    old = later[later.index < swaps[0]] if len(swaps) else later
    alarmed = [day.date for day in days if day.alarms and day.date >= onset]
    return Outcome(
        scenario,
        tuple(days),
        before=true_metric(scenario.use_case, scores[scores["day"] < onset]),
        after=true_metric(scenario.use_case, old),
        last=trailing(scenario.use_case, scores, days[-1].date),
        detected=(alarmed[0] - onset).days + 1 if alarmed else None,
        coverage=coverage,
    )


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3f}"


def _between(found: Realised | object) -> str:
    value, low, high = (getattr(found, name) for name in ("value", "low", "high"))
    return "-" if value is None else f"{_figure(value)} [{_figure(low)}, {_figure(high)}]"
