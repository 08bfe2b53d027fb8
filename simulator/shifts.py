"""What may change in the life of a bank from a day on, as data: a dataclass for each kind, with the day of its onset.

A shift changes what happens at and after its onset and nothing before it: it is laid over a finished chunk and draws from a
random stream of its own.
"""

from dataclasses import dataclass, replace
from datetime import date
from typing import TypeAlias

import numpy as np

from simulator.chunk import SHIFT, Chunk
from simulator.payments import SMALL, Payments, joined, stranger
from simulator.sampling import DAY, Flags, Floats, Ints, chance, stream
from simulator.sessions import Sessions
from simulator.transfers import TYPES

FIRST_DAY = date(1970, 1, 1)
CAMPAIGN = 2 * 10**6
"""Number of the campaign that `NewFraud` is."""
_PAYMENTS_PER_DAY = 0.105
"""Payments of a client a day, all kinds together."""


@dataclass(frozen=True)
class SalaryInflation:
    """Wages rise by `rise` (0.3 = 30 %) at once; what clients spend does not follow yet."""

    onset: date
    rise: float = 0.35

    def changed(self, chunk: Chunk) -> Chunk:
        """The chunk with higher wages from the onset on, and from its next month on in the verified incomes."""
        raised = (chunk.transfers.kind == TYPES.index("salary_in")) & _since(chunk.transfers.moment, self.onset)
        amount = np.where(raised, np.round(chunk.transfers.amount * (1 + self.rise), 2), chunk.transfers.amount)
        later = np.array([month >= self.onset for month in chunk.calendar.months])
        regular = np.where(later[None, :], chunk.incomes.regular * (1 + self.rise), chunk.incomes.regular)
        incomes = replace(chunk.incomes, regular=regular)
        seen = chunk.verified.client, chunk.verified.month
        verified = np.round(chunk.verified.income * incomes.total[seen] / chunk.incomes.total[seen], 2)
        return replace(
            chunk,
            transfers=replace(chunk.transfers, amount=amount),
            incomes=incomes,
            verified=replace(chunk.verified, income=np.where(later[seen[1]], verified, chunk.verified.income)),
        )


@dataclass(frozen=True)
class NewFraud:
    """A fourth style of fraud, `share` of all payments: sham subscriptions, small amounts in the daytime to accounts never seen.

    What is known of fraud (large amounts, nights, strangers' phones) says nothing against them.
    """

    onset: date
    share: float = 0.03
    amounts: tuple[float, float] = (700.0, 1_300.0)

    def changed(self, chunk: Chunk) -> Chunk:
        """The chunk with the campaign's payments, and the logins before them."""
        rng = stream(chunk.seed, chunk.number, SHIFT)
        calendar, people = chunk.calendar, chunk.people
        first = (self.onset - calendar.start).days
        rate = _PAYMENTS_PER_DAY * self.share / (1 - self.share)
        size = int(rng.poisson(rate * len(people) * max(0, calendar.days - first)))
        client = rng.integers(0, len(people), size)
        second = (np.clip(rng.normal(13.0, 3.0, size), 8.0, 20.0) * 3_600).astype(np.int64)
        moment = calendar.epoch + rng.integers(first, calendar.days, size) * DAY + second
        campaign = np.full(size, CAMPAIGN)
        amount = np.round(rng.uniform(*self.amounts, size))
        made = Payments(client, moment, amount, stranger(rng, people, client), np.full(size, SMALL), campaign)
        logged_in = np.flatnonzero(chance(rng, 0.8, size))
        before = np.maximum(moment[logged_in] - rng.integers(15, 600, len(logged_in)), _second(self.onset))
        return replace(
            chunk,
            payments=joined([chunk.payments, made]),
            sessions=_with_logins(chunk.sessions, client[logged_in], before),
        )


@dataclass(frozen=True)
class NewCity:
    """The bank opens in another city: `share` as many new clients as it has, all of them from there."""

    onset: date
    share: float = 0.15
    city: str = "Туркестан"

    def changed(self, chunk: Chunk) -> Chunk:
        """The chunk as it is: who comes is a chunk of its own, see `simulator.daily`."""
        return chunk


@dataclass(frozen=True)
class BrokenColumn:
    """The system upstream writes one value into a column, whatever it should be: the amount of payments."""

    onset: date
    value: float = 1_000.0

    def changed(self, chunk: Chunk) -> Chunk:
        """The chunk as it is exported."""
        amount = np.where(_since(chunk.payments.moment, self.onset), self.value, chunk.payments.amount)
        return replace(chunk, payments=replace(chunk.payments, amount=amount))


@dataclass(frozen=True)
class Seasonal:
    """Payments grow slowly, by `rise` within half a year, and fall again as slowly; the kinds of fraud stay as they are."""

    onset: date
    rise: float = 0.3

    def changed(self, chunk: Chunk) -> Chunk:
        """The chunk with amounts that follow the season."""
        days = np.maximum(chunk.payments.moment - _second(self.onset), 0) / DAY
        factor: Floats = 1 + self.rise * (1 - np.cos(2 * np.pi * days / 365.25)) / 2
        return replace(chunk, payments=replace(chunk.payments, amount=chunk.payments.amount * factor))


Shift: TypeAlias = SalaryInflation | NewFraud | NewCity | BrokenColumn | Seasonal


def _second(day: date) -> int:
    return (day - FIRST_DAY).days * DAY


def _since(moments: Ints, onset: date) -> Flags:
    return moments >= _second(onset)


def _with_logins(sessions: Sessions, client: Ints, moment: Ints) -> Sessions:
    """The logins with further ones, each on a phone that the client has used before."""
    order = np.argsort(sessions.client, kind="stable")
    place = np.searchsorted(sessions.client[order], client)
    known = (place < len(order)) & (sessions.client[order[np.minimum(place, len(order) - 1)]] == client)
    like = order[place[known]]
    columns = [
        np.concatenate([sessions.client, client[known]]),
        np.concatenate([sessions.moment, moment[known]]),
        np.concatenate([sessions.phone, sessions.phone[like]]),
        np.concatenate([sessions.system, sessions.system[like]]),
    ]
    in_time = np.argsort(columns[1], kind="stable")
    return Sessions(*(column[in_time] for column in columns))
