"""The bank's calendar: days and months of the history, weekdays, holidays and pay days."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.random import Generator

from simulator.categories import EVERYDAY, GIFTS, LEISURE, TRAVEL, WORK
from simulator.config import SimulationConfig
from simulator.sampling import DAY, Choices, Floats, Ints

PAYDAYS = (0, 5, 10, 15, 20, 25)
"""Day of the month on which an employer pays; 0 stands for clients without a pay day."""

WEEK = {
    EVERYDAY: (0.95, 0.95, 0.95, 1.0, 1.1, 1.25, 1.1),
    WORK: (1.1, 1.1, 1.1, 1.1, 1.2, 0.8, 0.65),
    LEISURE: (0.7, 0.7, 0.75, 0.85, 1.3, 1.75, 1.4),
    TRAVEL: (0.95, 0.95, 1.0, 1.1, 1.25, 0.95, 0.9),
    GIFTS: (0.8, 0.8, 0.85, 1.0, 1.25, 1.5, 1.1),
}
"""Weight of Monday … Sunday in each day profile."""

HOLIDAYS = {(1, 1): 0.5, (1, 2): 0.8, (3, 8): 1.0, (3, 21): 1.2, (3, 22): 1.2, (3, 23): 1.1, (5, 1): 1.1, (5, 7): 1.0,
            (5, 9): 1.1, (7, 6): 1.2, (8, 30): 1.1, (10, 25): 1.1, (12, 16): 1.1, (12, 31): 1.5}  # fmt: skip
"""Public holidays of Kazakhstan (month, day) → weight of leisure on that day."""

GIFT_DAYS = ((3, 8), (2, 14), (9, 1), (12, 31), (6, 1), (10, 5))
"""Days before which flowers and presents are bought."""

HOURS = {
    EVERYDAY: (0.2, 0.1, 0.1, 0.1, 0.1, 0.2, 0.5, 1, 2, 3, 4, 5, 5.5, 5, 4.5, 4.5, 5, 6, 8, 8, 6.5, 4, 2, 0.7),
    WORK: (0.8, 0.5, 0.4, 0.3, 0.3, 0.5, 1.5, 4, 6, 5, 4, 4, 4.5, 4.5, 4, 4, 5, 6.5, 7, 5.5, 4, 3, 2.2, 1.4),
    LEISURE: (0.9, 0.5, 0.3, 0.2, 0.1, 0.1, 0.2, 0.4, 0.8, 1.5, 2.5, 3.5, 5.5, 6, 5, 4.5, 4.5, 5.5, 7, 8.5, 8, 6, 3.5, 1.8),
    TRAVEL: (0.7, 0.5, 0.4, 0.4, 0.4, 0.6, 1, 2, 3, 4, 4.5, 5, 5, 5, 4.5, 4.5, 4.5, 4.5, 5, 5.5, 6, 5.5, 3.5, 1.7),
    GIFTS: (0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.5, 1.5, 3.5, 4.5, 5, 5.5, 6, 5.5, 5, 5, 6, 8, 8, 6, 4, 2, 0.7, 0.3),
}
"""Weight of each hour in each day profile."""


@dataclass(frozen=True)
class Calendar:
    """Days (numbered from the first) and calendar months (numbered likewise) of a history; times are seconds since 1970."""

    start: date
    days: int
    month_of_day: Ints
    months: tuple[date, ...]

    @property
    def epoch(self) -> int:
        """First second of the history."""
        return (self.start - date(1970, 1, 1)).days * DAY

    @property
    def end(self) -> int:
        """The second at which the history ends; nothing happens at or after it."""
        return self.epoch + self.days * DAY

    @property
    def shares(self) -> Floats:
        """Part of each calendar month that lies in the history."""
        return np.bincount(self.month_of_day) / np.array([_length(month) for month in self.months])

    def dates(self) -> list[date]:
        """Every day of the history."""
        return [self.start + timedelta(days=number) for number in range(self.days)]

    def day_of(self, month: Ints, day: Ints) -> Ints:
        """Day number of a day of the month (1 = first); may lie outside the history."""
        firsts = np.array([(first - self.start).days for first in self.months])
        lengths = np.array([_length(first) for first in self.months])
        return firsts[month] + np.minimum(day, lengths[month]) - 1

    def month_at(self, moments: Ints) -> Ints:
        """Month number of each moment within the history."""
        return self.month_of_day[(moments - self.epoch) // DAY]


def _length(first: date) -> int:
    return ((first.replace(day=28) + timedelta(days=4)).replace(day=1) - first).days


def calendar(config: SimulationConfig) -> Calendar:
    """The calendar of a bank with these settings."""
    days = (config.until - config.start).days
    firsts = [(config.start + timedelta(days=number)).replace(day=1) for number in range(days)]
    months = tuple(dict.fromkeys(firsts))
    return Calendar(config.start, days, np.array([months.index(first) for first in firsts], dtype=np.int64), months)


class Timing:
    """Draws the moments of events: the day within a month by weekday, holiday and pay day, the hour by day profile."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._profiles = len(WEEK)
        dates = calendar.dates()
        weights = np.stack([_day_weights(profile, dates) for profile in WEEK])
        boosts = np.stack([_payday_boost(payday, dates) for payday in PAYDAYS])
        in_month = np.arange(len(calendar.months))[:, None] == calendar.month_of_day
        daily = in_month[:, None, None, :] * boosts[None, :, None, :] * weights[None, None, :, :]
        self._days = Choices(daily.reshape(-1, calendar.days))
        self._any_day = Choices(weights)
        self._hours = Choices([HOURS[profile] for profile in WEEK])

    def in_month(self, rng: Generator, month: Ints, payday: Ints, profile: Ints) -> Ints:
        """A moment in each given month for a client with that pay day (index of PAYDAYS) and an event of that profile."""
        rows = (month * len(PAYDAYS) + payday) * self._profiles + profile
        return self.at_day(rng, self._days.draw(rng, rows), profile)

    def whenever(self, rng: Generator, profile: Ints) -> Ints:
        """A moment anywhere in the history."""
        return self.at_day(rng, self._any_day.draw(rng, profile), profile)

    def at_day(self, rng: Generator, day: Ints, profile: Ints) -> Ints:
        """A moment of the given day (number in the history)."""
        second = self._hours.draw(rng, profile) * 3600 + rng.integers(3600, size=len(day))
        return self._calendar.epoch + day * DAY + second


def _day_weights(profile: int, dates: list[date]) -> Floats:
    return np.array([WEEK[profile][day.weekday()] * _holiday(profile, day) for day in dates])


def _holiday(profile: int, day: date) -> float:
    if profile == GIFTS:
        ahead = [(day + timedelta(days=days)) for days in range(4)]
        return 4.0 if any((near.month, near.day) in GIFT_DAYS for near in ahead) else 1.0
    weight = HOLIDAYS.get((day.month, day.day))
    if weight is None:
        return 1.0
    return 0.45 if profile == WORK else weight * (1.5 if profile == LEISURE else 0.8)


def _payday_boost(payday: int, dates: list[date]) -> Floats:
    """Clients spend more in the days after they are paid."""
    if payday == 0:
        return np.ones(len(dates))
    since = np.array([(day.day - payday) % 30 for day in dates])
    return 0.8 + 0.9 * np.exp(-since / 4)
