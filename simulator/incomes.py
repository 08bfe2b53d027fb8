"""Monthly income: what each client really earns, and what the bank gets to verify."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from simulator.people import BUSINESS, EMPLOYED, STUDENT, People
from simulator.sampling import Floats, Ints, chance, noise
from simulator.seasons import Calendar
from simulator.world import World


@dataclass(frozen=True)
class Incomes:
    """Income in tenge, shape (clients, months): `regular` is wage, stipend or pension, `side` everything else."""

    regular: Floats
    side: Floats

    @property
    def total(self) -> Floats:
        """What the client earned in the month: the truth the income model is after."""
        return self.regular + self.side


@dataclass(frozen=True)
class Verified:
    """Labels of the income model: client (index in the chunk), month number, income in tenge, weight in the metric."""

    client: Ints
    month: Ints
    income: Floats
    weight: Floats


def make_incomes(rng: Generator, world: World, calendar: Calendar, people: People) -> Incomes:
    """Income of every month: raises and bonuses by employer, good and bad months for the self-employed, side jobs."""
    count, months = len(people), len(calendar.months)
    wobble = np.where(people.occupation == BUSINESS, 0.22, np.where(people.occupation == EMPLOYED, 0.03, 0.05))
    level = people.base_income[:, None] * np.exp(wobble[:, None] * rng.standard_normal((count, months)))
    employed = (people.occupation == EMPLOYED)[:, None]
    calendar_month = np.array([month.month for month in calendar.months])
    raise_month = world.employers.raise_month[people.employer][:, None]
    raised = np.cumsum(calendar_month[None, :] == raise_month, axis=1)
    bonus = world.employers.bonus[people.employer][:, None] * np.isin(calendar_month, (3, 6, 9, 12))[None, :]
    regular = level * np.where(employed, (1 + 0.07 * raised) * (1 + bonus), 1.0)
    has_side = chance(rng, 0.22, count)[:, None] & chance(rng, 0.8, (count, months))
    side = np.where(has_side, people.base_income[:, None] * 0.25 * rng.gamma(1.5, 0.67, (count, months)), 0.0)
    return Incomes(regular, side)


def verify(rng: Generator, calendar: Calendar, people: People, incomes: Incomes) -> Verified:
    """Incomes that a certificate (weight 1) or a declaration (0.4, less exact) has confirmed, from the fourth month on.

    Three months of history come first, so that a label has something to be predicted from.
    """
    shape = incomes.total.shape
    certified = people.paid_here | (chance(rng, 0.35, len(people)) & (people.occupation != STUDENT))
    seen = chance(rng, 0.42, shape) & (calendar.shares > 0.99) & (np.arange(shape[1]) >= 3)
    client, month = np.nonzero(seen)
    error = noise(rng, 1.0, len(client)) ** np.where(certified[client], 0.01, 0.06)
    weight = np.where(certified[client], 1.0, 0.4) * np.round(rng.uniform(0.6, 1.4, len(client)), 2)
    return Verified(client, month, np.round(incomes.total[client, month] * error, 2), np.round(weight, 3))
