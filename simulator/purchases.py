"""Card purchases: income, household, taste and season decide what is bought, when and for how much."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from simulator.categories import SLUGS, of_habits, seasons
from simulator.people import TYPICAL_INCOME, People
from simulator.sampling import Floats, Ints, chance
from simulator.seasons import Calendar, Timing

CURRENCIES = ("KZT", "USD", "EUR", "RUB")
TENGE = np.array([1.0, 520.0, 600.0, 6.5])
"""Tenge per unit of each currency."""


@dataclass(frozen=True)
class Purchases:
    """One element per purchase, oldest first; `amount` is in `currency` (index of CURRENCIES), `tenge` the same in tenge."""

    client: Ints
    category: Ints
    moment: Ints
    currency: Ints
    amount: Floats
    tenge: Floats


def expected_frequency(people: People) -> Floats:
    """Purchases a month of each client in each category in a normal month, shape (clients, categories)."""
    ratio = (people.base_income / TYPICAL_INCOME)[:, None]
    family = 1 + 0.12 * (people.household[:, None] - 1) * np.isin(SLUGS, ("groceries", "health", "clothing"))
    frequency = 0.83 * of_habits("frequency") * np.exp(people.taste - 0.08) * ratio**0.25 * family
    return frequency * people.card_share[:, None]


def expected_ticket(people: People) -> Floats:
    """Median ticket of each client in each category, in tenge, shape (clients, categories)."""
    ratio = (people.base_income / TYPICAL_INCOME)[:, None]
    return of_habits("ticket") * ratio ** of_habits("elasticity") * np.exp(0.12 * people.taste)


def expected_spending(people: People) -> Floats:
    """Mean spending a month of each client in each category, in tenge."""
    return expected_frequency(people) * expected_ticket(people) * np.exp(of_habits("sigma") ** 2 / 2)


def make_purchases(rng: Generator, calendar: Calendar, timing: Timing, people: People, income: Floats) -> Purchases:
    """Every purchase of the chunk; `income` has shape (clients, months), in tenge."""
    months = income.shape[1]
    good_month = (income / people.base_income[:, None]) ** 0.45
    season = seasons([month.month for month in calendar.months]) * calendar.shares[:, None]
    rate = expected_frequency(people)[:, None, :] * good_month[:, :, None] * season[None, :, :]
    cells = np.repeat(np.arange(rate.size), rng.poisson(rate).ravel())
    client, rest = np.divmod(cells, months * len(SLUGS))
    month, category = np.divmod(rest, len(SLUGS))
    profile = of_habits("profile").astype(np.int64)[category]
    moment = timing.in_month(rng, month, people.payday[client], profile)
    tenge = expected_ticket(people)[client, category] * good_month[client, month]
    tenge *= np.exp(of_habits("sigma")[category] * rng.standard_normal(len(cells)))
    order = np.argsort(moment, kind="stable")
    currency = np.where(chance(rng, of_habits("abroad")[category], len(cells)), rng.integers(1, 4, len(cells)), 0)
    amount = np.maximum(np.round(tenge / TENGE[currency], 2), 0.5)
    return Purchases(client[order], category[order], moment[order], currency[order], amount[order], tenge[order])
