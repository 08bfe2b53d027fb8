"""Fraud in three styles, and the labels that arrive late; the fourth style, small amounts, comes with a shift only.

Compromised destination: a merchant's account gets payments of ordinary size from many clients for some weeks. Large amounts: a
gang talks clients into big payments to its mules. Taken-over client: a stranger's phone, a burst of logins, unusual payments.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from simulator.categories import TRAVEL
from simulator.payments import (
    COMPROMISED,
    HONEST,
    LARGE,
    TAKEOVER,
    Payments,
    honest_amount,
    in_bursts,
    joined,
    stranger,
    usual_amount,
)
from simulator.people import People
from simulator.sampling import DAY, Flags, Ints, chance, noise
from simulator.seasons import Calendar, Timing
from simulator.world import MERCHANTS, MULES, World

LARGE_RATE = 0.0118
"""Payments of the large style a client and month."""
TAKEOVER_RATE = 0.0024
"""Taken-over clients a client and month."""
STYLES = ("none", "compromised destination", "large amounts", "taken-over client", "small amounts")
MONTH = 30.4


@dataclass(frozen=True)
class Takeovers:
    """Clients that a stranger has taken over: when it began, how long it lasted (seconds), whether from another phone."""

    client: Ints
    start: Ints
    length: Ints
    other_phone: Flags


@dataclass(frozen=True)
class Labels:
    """Verdicts known by the bank's last day: row of the payment, fraud or not, and when it became known."""

    payment: Ints
    is_fraud: Ints
    reported: Ints


def make_takeovers(rng: Generator, calendar: Calendar, people: People) -> Takeovers:
    """Choose the victims; a client falls once at most."""
    count = len(people)
    victims = min(count, int(rng.poisson(TAKEOVER_RATE * count * calendar.days / MONTH)))
    client = rng.permutation(count)[:victims]
    length = (rng.uniform(0.25, 3.0, victims) * DAY).astype(np.int64)
    start = calendar.epoch + rng.integers(0, max(1, calendar.days - 4), victims) * DAY + rng.integers(0, DAY, victims)
    return Takeovers(client, start, length, chance(rng, 0.6, victims))


def make_fraud(
    rng: Generator, world: World, calendar: Calendar, timing: Timing, people: People, takeovers: Takeovers
) -> Payments:
    """Every fraudulent payment of the chunk, oldest first."""
    parts = [
        _compromised(rng, world, calendar, timing, people),
        _large(rng, world, calendar, timing, people),
        _taken_over(rng, world, people, takeovers),
    ]
    whole = joined(parts)
    return whole.take(np.flatnonzero(whole.moment < calendar.end))


def _compromised(rng: Generator, world: World, calendar: Calendar, timing: Timing, people: People) -> Payments:
    client, moment, merchant, burst = in_bursts(rng, world.compromised, calendar, timing, len(people))
    amount = honest_amount(rng, world, people, client, merchant) * 1.1
    return Payments(client, moment, amount, merchant, np.full(len(client), COMPROMISED), burst)


def _large(rng: Generator, world: World, calendar: Calendar, timing: Timing, people: People) -> Payments:
    size = int(rng.poisson(LARGE_RATE * len(people) * calendar.days / MONTH))
    client = rng.integers(0, len(people), size)
    gang = world.gang_choice.draw_many(rng, size)
    day = world.gang_first_day[gang] + rng.integers(0, 21, size)
    moment = timing.at_day(rng, np.minimum(day, calendar.days - 1), np.full(size, TRAVEL))
    per_gang = MULES // len(world.gang_first_day) or 1
    mule = MERCHANTS + (gang * per_gang + rng.integers(0, per_gang, size)) % MULES
    destination = np.where(chance(rng, 0.3, size), mule, stranger(rng, people, client))
    amount = usual_amount(people)[client] * 9.0 * noise(rng, 0.8, size)
    return Payments(client, moment, amount, destination, np.full(size, LARGE), len(world.compromised.rate) + gang)


def _taken_over(rng: Generator, world: World, people: People, takeovers: Takeovers) -> Payments:
    event = np.repeat(np.arange(len(takeovers.client)), 2 + rng.poisson(3.2, len(takeovers.client)))
    client = takeovers.client[event]
    moment = takeovers.start[event] + (rng.random(len(event)) * takeovers.length[event]).astype(np.int64)
    accounts = stranger(rng, people, np.repeat(takeovers.client, 2)).reshape(-1, 2)
    shopping = chance(rng, 0.4, len(event))
    destination = np.where(shopping, world.merchants.draw_many(rng, len(event)), accounts[event, rng.integers(0, 2, len(event))])
    amount = usual_amount(people)[client] * 1.7 * noise(rng, 0.8, len(event))
    campaign = 10**6 + people.numbers[client]
    return Payments(client, moment, amount, destination, np.full(len(event), TAKEOVER), campaign)


def make_labels(rng: Generator, calendar: Calendar, payments: Payments) -> Labels:
    """Fraud is reported 1–20 days after the payment, an honest payment is cleared after 3–14; the rest is not known yet."""
    size = len(payments)
    fraud = payments.style != HONEST
    days = np.where(fraud, 1 + 19 * rng.beta(1.3, 2.4, size), rng.uniform(3, 14, size))
    reported = payments.moment + (days * DAY).astype(np.int64)
    known = np.flatnonzero(reported < calendar.end)
    known = known[np.argsort(reported[known], kind="stable")]
    return Labels(known, fraud[known].astype(np.int64), reported[known])


def late_labels(rng: Generator, calendar: Calendar, payments: Payments, days: tuple[float, float]) -> Labels:
    """Every payment is judged so many days after it was made, from the first of `days` to the second, whatever it was.

    A payment's delay depends on its place in time alone: what is made later changes nothing of what was made before.
    """
    delay = days[0] + (days[1] - days[0]) * rng.random(len(payments))
    reported = payments.moment + (delay * DAY).astype(np.int64)
    known = np.flatnonzero(reported < calendar.end)
    known = known[np.argsort(reported[known], kind="stable")]
    return Labels(known, (payments.style[known] != HONEST).astype(np.int64), reported[known])


def takeover_logins(rng: Generator, takeovers: Takeovers) -> tuple[Ints, Ints]:
    """Takeover number and moment of each login of the strangers, from some hours before their first payment on."""
    event = np.repeat(
        np.arange(len(takeovers.client)), 1 + rng.poisson(5 * rng.random(len(takeovers.client)) * 2, len(takeovers.client))
    )
    before = rng.uniform(0, 0.4, len(event)) * DAY
    return event, takeovers.start[event] + (rng.random(len(event)) * takeovers.length[event] - before).astype(np.int64)
