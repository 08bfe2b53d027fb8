"""Outgoing payments as honest clients make them: to shops, to people they know, now and then to someone new."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.random import Generator

from simulator.categories import EVERYDAY
from simulator.people import People
from simulator.sampling import DAY, Choices, Floats, Ints, chance, noise, spread
from simulator.seasons import Calendar, Timing
from simulator.world import MERCHANTS, MULES, Bursts, World

HONEST, COMPROMISED, LARGE, TAKEOVER, SMALL = range(5)
"""Fraud style of a payment; HONEST is none."""
NO_CAMPAIGN = -1

REGULAR_PAYEES = 5
SPREE_RATE = 0.012
"""Sprees a client and month."""
_FIRST_PAYEE = MERCHANTS + MULES
_PAYEES_PER_CLIENT = 1_000


@dataclass(frozen=True)
class Payments:
    """One element per payment; `destination` is an account number, `campaign` the number of its fraud campaign or -1."""

    client: Ints
    moment: Ints
    amount: Floats
    destination: Ints
    style: Ints
    campaign: Ints

    def __len__(self) -> int:
        return len(self.client)

    def take(self, rows: Ints) -> "Payments":
        """The given rows, in the given order."""
        return Payments(*(getattr(self, column.name)[rows] for column in fields(self)))


def joined(parts: list[Payments]) -> Payments:
    """All payments of the parts, oldest first."""
    whole = Payments(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Payments)))
    return whole.take(np.argsort(whole.moment, kind="stable"))


def usual_amount(people: People) -> Floats:
    """Median payment of each client in tenge."""
    return 600.0 * people.base_income**0.25 * np.exp(0.12 * people.generous)


def payee(people: People, client: Ints, number: Ints) -> Ints:
    """Account of a person that only this client pays; numbers from REGULAR_PAYEES on are strangers."""
    return _FIRST_PAYEE + people.numbers[client] * _PAYEES_PER_CLIENT + number


def stranger(rng: Generator, people: People, client: Ints) -> Ints:
    """Account of a person the client has, most likely, never paid before."""
    return payee(people, client, rng.integers(REGULAR_PAYEES, _PAYEES_PER_CLIENT, len(client)))


def make_honest(rng: Generator, world: World, calendar: Calendar, timing: Timing, people: People) -> Payments:
    """Every honest payment outside of promotions."""
    count = len(people)
    activity = 2.75 * noise(rng, 0.5, count) * np.exp(0.2 * people.digital)
    client, month = spread(rng.poisson(activity[:, None] * calendar.shares[None, :]))
    moment = timing.in_month(rng, month, people.payday[client], np.full(len(client), EVERYDAY))
    destination = _destinations(rng, world, people, client)
    amount = honest_amount(rng, world, people, client, destination)
    return _honest(client, moment, amount, destination)


def make_promotions(rng: Generator, world: World, calendar: Calendar, timing: Timing, people: People) -> Payments:
    """Honest payments to merchants that draw a crowd for a week or two: a burst alone is no fraud."""
    client, moment, merchant, _ = in_bursts(rng, world.promotions, calendar, timing, len(people))
    return _honest(client, moment, honest_amount(rng, world, people, client, merchant), merchant)


def make_sprees(rng: Generator, calendar: Calendar, people: People) -> Payments:
    """Honest payments of a day or two to someone new, as for a wedding or a move: an unusual day alone is no fraud."""
    sprees = int(rng.poisson(SPREE_RATE * len(people) * calendar.days / 30.4))
    who = rng.integers(0, len(people), sprees)
    start = calendar.epoch + rng.integers(0, max(1, calendar.days - 2), sprees) * DAY + rng.integers(7, 20, sprees) * 3_600
    spree = np.repeat(np.arange(sprees), 2 + rng.poisson(1.8, sprees))
    client = who[spree]
    destination = stranger(rng, people, who)[spree]
    amount = usual_amount(people)[client] * 1.5 * noise(rng, 0.85, len(client))
    moment = within_days(rng, start[spree], 1.2)
    return _honest(client, moment, amount, destination)


def in_bursts(rng: Generator, bursts: Bursts, calendar: Calendar, timing: Timing, count: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Client, moment, merchant and burst number of each extra payment of the bursts."""
    burst = np.repeat(np.arange(len(bursts.rate)), rng.poisson(bursts.rate * count))
    client = rng.integers(0, count, len(burst))
    day = bursts.first_day[burst] + (rng.random(len(burst)) * bursts.days[burst]).astype(np.int64)
    inside = day < calendar.days
    burst, client, day = burst[inside], client[inside], day[inside]
    moment = timing.at_day(rng, day, np.full(len(day), EVERYDAY))
    return client, moment, bursts.merchant[burst], burst


def honest_amount(rng: Generator, world: World, people: People, client: Ints, destination: Ints) -> Floats:
    """An amount as the client usually pays; one in twenty is a rent, a repair or a holiday."""
    scale = np.where(destination < MERCHANTS, world.merchant_scale[np.minimum(destination, MERCHANTS - 1)], 1.15)
    size = len(client)
    occasion = np.where(chance(rng, 0.05, size), rng.uniform(4, 22, size), 1.0)
    return usual_amount(people)[client] * scale * noise(rng, 0.85, size) * occasion


def _honest(client: Ints, moment: Ints, amount: Floats, destination: Ints) -> Payments:
    style = np.full(len(client), HONEST)
    return Payments(client, moment, amount, destination, style, np.full(len(client), NO_CAMPAIGN))


def _destinations(rng: Generator, world: World, people: People, client: Ints) -> Ints:
    size = len(client)
    favourites = world.merchants.draw_many(rng, 4 * len(people)).reshape(-1, 4)
    merchant = np.where(
        chance(rng, 0.55, size), favourites[client, rng.integers(0, 4, size)], world.merchants.draw_many(rng, size)
    )
    known = payee(people, client, Choices([0.4, 0.25, 0.17, 0.11, 0.07]).draw_many(rng, size))
    where = rng.random(size)
    return np.where(where < 0.5, merchant, np.where(where < 0.84, known, stranger(rng, people, client)))


def within_days(rng: Generator, first: Ints, days: float) -> Ints:
    """A moment within some days after each `first`."""
    return first + (rng.random(len(first)) * days * DAY).astype(np.int64)
