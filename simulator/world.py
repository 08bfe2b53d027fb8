"""What all clients of a bank share, whatever their number: employers, payees, fraud campaigns, system releases."""

from dataclasses import dataclass

import numpy as np

from simulator.sampling import Choices, Flags, Floats, Ints, stream
from simulator.seasons import PAYDAYS, Calendar

EMPLOYERS = 2_000
MERCHANTS = 1_500
MULES = 120
"""Accounts that gangs of the large-amount style use; only fraud reaches them."""
WORLD = 2**32 - 1
"""Path of the world's random stream; no chunk has this number."""


@dataclass(frozen=True)
class Employers:
    """Wage premium (log), pay day (index of PAYDAYS), whether an advance is paid, quarterly bonus share, month of the raise."""

    premium: Floats
    payday: Ints
    advance: Flags
    bonus: Floats
    raise_month: Ints
    choice: Choices


@dataclass(frozen=True)
class Bursts:
    """Weeks in which a merchant gets more payments than usual: a fraud campaign or an honest promotion.

    `rate` is the expected number of extra payments per client of the bank over the whole burst.
    """

    merchant: Ints
    first_day: Ints
    days: Ints
    rate: Floats


@dataclass(frozen=True)
class World:
    """Everything that derives from the seed and the calendar alone."""

    employers: Employers
    merchants: Choices
    merchant_scale: Floats
    compromised: Bursts
    promotions: Bursts
    gang_choice: Choices
    gang_first_day: Ints
    release_days: Ints


def build_world(seed: int, calendar: Calendar) -> World:
    """The world of a seed: identical for banks of every size."""
    rng = stream(seed, WORLD)
    months = max(1, round(calendar.days / 30.4))
    popularity = 1 / (np.arange(MERCHANTS) + 25.0)
    gangs = 5 * months
    return World(
        employers=_employers(rng),
        merchants=Choices(popularity),
        merchant_scale=np.exp(0.5 * rng.standard_normal(MERCHANTS)),
        compromised=_bursts(rng, calendar, count=5 * months, days=(18, 36), total_rate=0.0175 * months),
        promotions=_bursts(rng, calendar, count=5 * months, days=(7, 29), total_rate=0.02 * months),
        gang_choice=Choices(rng.uniform(0.5, 1.5, gangs)),
        gang_first_day=rng.integers(0, max(1, calendar.days - 10), gangs),
        release_days=np.linspace(-200, calendar.days * 0.9, 5).astype(np.int64),
    )


def _employers(rng: np.random.Generator) -> Employers:
    return Employers(
        premium=0.28 * rng.standard_normal(EMPLOYERS),
        payday=rng.integers(1, len(PAYDAYS), EMPLOYERS),
        advance=rng.random(EMPLOYERS) < 0.45,
        bonus=np.where(rng.random(EMPLOYERS) < 0.25, rng.uniform(0.15, 0.5, EMPLOYERS), 0.0),
        raise_month=rng.integers(1, 13, EMPLOYERS),
        choice=Choices(1 / (np.arange(EMPLOYERS) + 30.0)),
    )


def _bursts(rng: np.random.Generator, calendar: Calendar, count: int, days: tuple[int, int], total_rate: float) -> Bursts:
    sizes = rng.uniform(0.5, 1.5, count)
    merchants = rng.permutation(np.arange(20, MERCHANTS))[:count]
    return Bursts(
        merchant=merchants.astype(np.int64),
        first_day=rng.integers(0, max(1, calendar.days - 10), count),
        days=rng.integers(*days, count),
        rate=total_rate * sizes / sizes.sum(),
    )
