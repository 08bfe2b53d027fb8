"""The scenarios by name: which model lives through what, for how long, and what is promised of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from simulator.shifts import BrokenColumn, NewCity, NewFraud, SalaryInflation, Seasonal, Shift

BEGIN = date(2026, 1, 5)
"""The first scored day of every scenario."""
ONSET = 18
"""Days that are scored before anything changes."""
_AFTER = BEGIN + timedelta(days=ONSET)


@dataclass(frozen=True)
class Promise:
    """What has to be true at the end of a scenario; None = nothing is promised of it.

    Attributes:
        detected_within: days from the onset to the first alarm.
        alarms: most days with an alarm.
        promotions: most and fewest new champions.
        regained: least share of the lost metric that the last champion regains.
        mended: whether the source has to be named as broken, and nothing retrained meanwhile.
        coverage: least share of the estimates' intervals that held what was realised; where the world changes few are given.
    """

    detected_within: int | None = None
    alarms: int | None = None
    promotions: tuple[int, int] | None = None
    regained: float | None = None
    mended: bool = False
    coverage: float | None = 0.88


@dataclass(frozen=True)
class Scenario:
    """One course of events.

    Attributes:
        shift: what changes in the bank; None = nothing.
        use_case: the model that is watched.
        days: scored days.
        months: of history that the bank looks back on, the scored days not among them.
        clients: of the bank.
    """

    title: str
    shift: Shift | None
    use_case: Literal["fraud", "income"]
    days: int
    promise: Promise
    months: int = 9
    clients: int = 5_000


SCENARIOS: Mapping[str, Scenario] = {
    "none": Scenario("nothing changes", None, "fraud", 60, Promise(alarms=3, promotions=(0, 0))),
    "new-fraud": Scenario(
        "a fourth style of fraud begins: 3 % of the payments, small amounts in the daytime",
        NewFraud(_AFTER),
        "fraud",
        170,
        Promise(detected_within=3, promotions=(1, 20), regained=0.8, coverage=None),
        clients=4_000,
    ),
    "broken-column": Scenario(
        "the amounts of all payments arrive as 1,000 tenge", BrokenColumn(_AFTER), "fraud", 34,
        Promise(detected_within=3, promotions=(0, 0), mended=True, coverage=None),
    ),
    "seasonal": Scenario(
        "amounts rise by 30 % within half a year and fall again", Seasonal(_AFTER), "fraud", 90, Promise(alarms=10),
    ),
    "salary-inflation": Scenario(
        "wages rise by 35 % at once", SalaryInflation(date(2026, 2, 1)), "income", 210,
        Promise(detected_within=45, promotions=(1, 20), regained=0.5, coverage=None),
        clients=2_500,
    ),
    "new-city": Scenario(
        "15 % new clients, all from a city that the bank did not know", NewCity(_AFTER), "income", 40,
        Promise(detected_within=3, coverage=None),
    ),
}  # fmt: skip
"""Every scenario by its name."""
