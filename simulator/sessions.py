"""Mobile banking logins: who opens the application when, on which phone and system version."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from simulator.categories import LEISURE
from simulator.fraud import MONTH, Takeovers, takeover_logins
from simulator.payments import Payments, within_days
from simulator.people import TYPICAL_INCOME, People
from simulator.sampling import DAY, Flags, Floats, Ints, chance, sigmoid, spread
from simulator.seasons import Calendar, Timing
from simulator.vocabulary import ANDROID, ANDROIDS, IOS, IPHONES
from simulator.world import World

PHONES = (*ANDROIDS, *IPHONES)
SYSTEMS = (*ANDROID, *IOS)


@dataclass(frozen=True)
class Sessions:
    """One element per login, oldest first; `phone` and `system` index PHONES and SYSTEMS, -1 where not recorded."""

    client: Ints
    moment: Ints
    phone: Ints
    system: Ints


@dataclass(frozen=True)
class Devices:
    """Phones of the clients: the old model, the new one and the day it is bought, and the day each release is installed."""

    iphone: Flags
    old: Ints
    new: Ints
    changed: Floats
    installed: Floats

    def at(self, calendar: Calendar, client: Ints, moment: Ints) -> tuple[Ints, Ints]:
        """Phone and system of each client at each moment."""
        day = (moment - calendar.epoch) / DAY
        replaced = day >= self.changed[client]
        model = np.where(replaced, self.new[client], self.old[client])
        release = (day[:, None] >= self.installed[client]).sum(axis=1)
        # A phone fresh from the shop has the newest or the last but one release.
        release = np.where(replaced, np.maximum(release, 4), release)
        iphone = self.iphone[client]
        return model + iphone * len(ANDROIDS), release + iphone * len(ANDROID)


def make_devices(rng: Generator, world: World, calendar: Calendar, people: People) -> Devices:
    """Draw the clients' phones; better earners have newer ones, some people never update."""
    count = len(people)
    wealth = np.log(people.base_income / TYPICAL_INCOME)
    iphone = chance(rng, sigmoid(0.9 * wealth - 0.5 - 0.02 * (people.age - 38)), count)
    old = np.clip(np.round(2.5 + 1.3 * wealth + 1.2 * rng.standard_normal(count)), 0, 6).astype(np.int64)
    changes = chance(rng, 0.022 * calendar.days / MONTH, count)
    changed = np.where(changes, rng.uniform(0, calendar.days, count), np.inf)
    delay = rng.exponential(30.0, (count, len(world.release_days)))
    never = chance(rng, 0.12, count)[:, None] | chance(rng, 0.1, delay.shape)
    installed = np.where(never & (world.release_days > 0), np.inf, world.release_days + delay)
    return Devices(iphone, old, np.minimum(old + rng.integers(1, 4, count), 6), changed, installed)


def make_sessions(
    rng: Generator, world: World, calendar: Calendar, timing: Timing, people: People, payments: Payments, takeovers: Takeovers
) -> Sessions:
    """Every login of the chunk, those of strangers included."""
    devices = make_devices(rng, world, calendar, people)
    parts = [_visits(rng, calendar, timing, people), _before_payments(rng, payments), _busy(rng, calendar, people, devices)]
    client, moment = (np.concatenate(column) for column in zip(*parts, strict=True))
    phone, system = devices.at(calendar, client, moment)
    theirs = _strangers(rng, calendar, takeovers, devices)
    columns = [np.concatenate(pair) for pair in zip((client, moment, phone, system), theirs, strict=True)]
    inside = (columns[1] >= calendar.epoch) & (columns[1] < calendar.end)
    order = np.argsort(columns[1], kind="stable")
    order = order[inside[order]]
    client, moment, phone, system = (column[order] for column in columns)
    phone = np.where(chance(rng, 0.02, len(order)), -1, phone)
    return Sessions(client, moment, phone, np.where(chance(rng, 0.015, len(order)), -1, system))


def _visits(rng: Generator, calendar: Calendar, timing: Timing, people: People) -> tuple[Ints, Ints]:
    """Looking at the balance, mostly after pay day; a third of the visits is followed by another soon."""
    rate = 3.9 * np.exp(0.5 * people.digital)
    client, month = spread(rng.poisson(rate[:, None] * calendar.shares[None, :]))
    moment = timing.in_month(rng, month, people.payday[client], np.full(len(client), LEISURE))
    again = np.flatnonzero(chance(rng, 0.33, len(client)))
    later = moment[again] + rng.exponential(1_500.0, len(again)).astype(np.int64) + 20
    return np.concatenate([client, client[again]]), np.concatenate([moment, later])


def _before_payments(rng: Generator, payments: Payments) -> tuple[Ints, Ints]:
    """Most payments are made in the application, minutes after logging in."""
    made = np.flatnonzero(chance(rng, 0.8, len(payments)))
    return payments.client[made], payments.moment[made] - rng.integers(15, 600, len(made))


def _busy(rng: Generator, calendar: Calendar, people: People, devices: Devices) -> tuple[Ints, Ints]:
    """Days in which an honest client keeps opening the application; a new phone brings them too."""
    spells = int(rng.poisson(0.06 * len(people) * calendar.days / MONTH))
    owners = np.flatnonzero(np.isfinite(devices.changed))
    client = np.concatenate([rng.integers(0, len(people), spells), owners])
    bought = calendar.epoch + (devices.changed[owners] * DAY).astype(np.int64)
    start = np.concatenate([calendar.epoch + rng.integers(0, calendar.days, spells) * DAY, bought])
    spell = np.repeat(np.arange(len(client)), 2 + rng.poisson(7, len(client)))
    return client[spell], within_days(rng, start[spell], 2.5)


def _strangers(rng: Generator, calendar: Calendar, takeovers: Takeovers, devices: Devices) -> tuple[Ints, Ints, Ints, Ints]:
    event, moment = takeover_logins(rng, takeovers)
    client = takeovers.client[event]
    phone, system = devices.at(calendar, client, moment)
    model = rng.integers(0, len(ANDROIDS), len(takeovers.client))[event]
    release = rng.integers(1, len(ANDROID), len(takeovers.client))[event]
    other = takeovers.other_phone[event]
    return client, moment, np.where(other, model, phone), np.where(other, release, system)
