"""Product offers: whom the bank asked, at random moments, and who said yes because it suited them."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from features.code_lists import PRODUCTS
from simulator.categories import LEISURE, SLUGS
from simulator.people import STUDENT, People
from simulator.purchases import expected_spending
from simulator.sampling import DAY, Floats, Ints, chance, sigmoid
from simulator.seasons import Calendar, Timing

TASTE = 2.6
"""How strongly a fitting product is wanted: log-odds per standard deviation of the fit."""
CAUTION = -2.3
"""Log-odds of accepting a product that fits averagely."""


@dataclass(frozen=True)
class Offers:
    """One element per offer, oldest first, and the true probabilities, shape (clients, products)."""

    client: Ints
    product: Ints
    moment: Ints
    accepted: Ints
    uptake: Floats

    def held(self, product: str, calendar: Calendar, count: int) -> Floats:
        """1 where the client held the product for all of the month, shape (clients, months), else 0."""
        taken = (self.product == PRODUCTS.index(product)) & (self.accepted == 1)
        since = np.full(count, len(calendar.months))
        since[self.client[taken]] = calendar.month_at(self.moment[taken])
        return (np.arange(len(calendar.months))[None, :] > since[:, None]).astype(np.float64)


def make_offers(rng: Generator, calendar: Calendar, timing: Timing, people: People) -> Offers:
    """Offer each client a few different products, each once; the answer follows the true probability."""
    uptake = uptake_probability(rng, people)
    count = len(people)
    order = np.argsort(rng.random((count, len(PRODUCTS))), axis=1)
    offered = np.minimum(1 + rng.poisson(3.4, count), len(PRODUCTS))
    client = np.repeat(np.arange(count), offered)
    product = order[np.arange(len(PRODUCTS))[None, :] < offered[:, None]]
    moment = timing.whenever(rng, np.full(len(client), LEISURE))
    # Offers begin once there is something to base them on: the first ten weeks are moved into the rest of the history.
    first = calendar.epoch + min(70, calendar.days // 2) * DAY
    moment = first + (moment - calendar.epoch) * (calendar.end - first) // (calendar.end - calendar.epoch)
    accepted = chance(rng, uptake[client, product], len(client)).astype(np.int64)
    by_time = np.argsort(moment, kind="stable")
    return Offers(client[by_time], product[by_time], moment[by_time], accepted[by_time], uptake)


def uptake_probability(rng: Generator, people: People) -> Floats:
    """Probability that a client accepts a product when asked, shape (clients, products)."""
    fit = np.stack([_fits(people)[product] for product in PRODUCTS], axis=1)
    appeal = np.array([0.1, 0.0, 0.1, 0.0, 0.2, 0.1, 0.0, 0.0, 0.1, -0.3])
    whim = 0.35 * rng.standard_normal(fit.shape)
    return sigmoid(CAUTION + appeal + TASTE * np.clip(fit, -2.5, 2.5) + whim)


def _fits(people: People) -> dict[str, Floats]:
    """How well each product fits, about standard normal: the benefit it would bring, life stage, and means.

    Centres and scales are those of the model's population, so that a client's fit does not depend on who else is in the bank.
    """
    spending = expected_spending(people)
    adult = np.where(people.age >= 21, 0.0, -2.0)
    log_income = (np.log(people.base_income) - 12.55) / 0.6
    log_balance = (np.log(people.balance) - 12.65) / 1.25
    months_saved = (np.log(people.balance / people.base_income) - 0.1) / 1.05
    total = (np.log(spending.sum(axis=1)) - 11.75) / 0.55
    largest = np.sort(spending, axis=1)[:, -3:].sum(axis=1) / spending.sum(axis=1)
    concentration = (largest - 0.51) / 0.1
    stage = 1 - ((people.age - 32) / 9) ** 2 / 2
    travel = _spent(spending, ("travel", "taxi", "hotels"), 10.2, 0.9)
    games = _spent(spending, ("play_at_home", "watch_at_home", "cinema"), 7.9, 1.05)
    luxury = _spent(spending, ("jewellery", "beauty", "restaurants"), 10.05, 0.8)
    debt = np.where(people.indebted, 0.8, -0.4)
    return {
        "Депозит Сберегательный": 0.95 * log_balance + 0.3 * (people.age - 40) / 14 - 0.3 * debt,
        "Кредит наличными": -0.8 * months_saved + 0.55 * debt + 0.15 * people.children - 0.2 + adult,
        "Карта для путешествий": 1.05 * (travel + 0.25),
        "Карта для геймеров": 1.05 * games - 0.01 * (people.age - 38),
        "Карта с кэшбэком на все": 0.7 * total - 0.65 * concentration - 0.35,
        "Карта с кэшбэком на топ-3 категории": 0.45 * total + 0.9 * concentration - 0.25,
        "Премиальная карта": 0.7 * log_balance + 0.55 * luxury + adult,
        "Мультивалютный счет": 1.0 * people.exchanger + 0.2 * log_income,
        "Карта с бесплатными переводами": 1.0 * people.generous + 0.3 * (people.occupation == STUDENT),
        "Ипотека": 0.8 * stage + 0.4 * people.married + 0.5 * log_income - 0.35 * debt - 0.35 + adult,
    }


def _spent(spending: Floats, slugs: tuple[str, ...], centre: float, scale: float) -> Floats:
    chosen = spending[:, [SLUGS.index(slug) for slug in slugs]].sum(axis=1)
    return (np.log(chosen) - centre) / scale
