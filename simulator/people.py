"""Who the clients are: the latent causes from which everything else follows."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from simulator.categories import FACTORS, loadings
from simulator.sampling import Choices, Flags, Floats, Ints, chance, noise
from simulator.vocabulary import CITIES
from simulator.world import World

EMPLOYED, BUSINESS, STUDENT, PENSIONER, IDLE = range(5)
"""Occupations, in the order of vocabulary.EMPLOYMENT."""

TYPICAL_INCOME = 290_000.0
"""Median monthly income in tenge, to which rates and tickets are relative."""


@dataclass(frozen=True)
class People:
    """Latent facts of the clients of one chunk, one array element each.

    `first` is the number of the first client within the bank; `taste` are log multipliers of the category frequencies,
    shape (clients, categories); `factors` are the tastes behind them, shape (clients, FACTORS). `balance` is in tenge.
    """

    first: int
    woman: Flags
    age: Floats
    city: Ints
    education: Ints
    occupation: Ints
    tenure: Floats
    employer: Ints
    paid_here: Flags
    payday: Ints
    married: Flags
    children: Ints
    household: Ints
    base_income: Floats
    balance: Floats
    indebted: Flags
    card_share: Floats
    thrift: Floats
    exchanger: Floats
    generous: Floats
    cash: Floats
    digital: Floats
    factors: Floats
    taste: Floats

    def __len__(self) -> int:
        return len(self.age)

    @property
    def numbers(self) -> Ints:
        """Number of each client within the bank."""
        return self.first + np.arange(len(self))


def codes(numbers: Ints) -> Ints:
    """The client codes of client numbers."""
    return 100_001 + numbers


def make_people(rng: Generator, world: World, first: int, count: int) -> People:
    """Draw the clients `first` … `first + count - 1`."""
    woman = chance(rng, 0.53, count)
    occupation, age = _life(rng, count)
    city = Choices([[share for share, _ in CITIES.values()]]).draw_many(rng, count)
    education = _education(rng, age, occupation)
    employed = occupation == EMPLOYED
    employer = world.employers.choice.draw_many(rng, count)
    paid_here = (employed & chance(rng, 0.55, count)) | (occupation == PENSIONER)
    married = chance(rng, np.interp(age, [19, 24, 30, 40, 70], [0, 0.2, 0.62, 0.75, 0.6]), count)
    children = rng.poisson(np.interp(age, [19, 24, 32, 42, 58, 62], [0, 0.2, 1.1, 1.4, 0.2, 0]) * np.where(married, 1.25, 0.4))
    base_income = _base_income(rng, world, occupation, age, city, education, employer)
    thrift = rng.standard_normal(count)
    factors = _factors(rng, woman, age, children)
    return People(
        first=first, woman=woman, age=age, city=city, education=education, occupation=occupation,
        tenure=np.minimum(rng.gamma(1.1, 4.0, count), np.maximum(age - 18, 0.1)),
        employer=employer, paid_here=paid_here, payday=_payday(world, occupation, employer, paid_here),
        married=married, children=children, household=1 + married + children,
        base_income=base_income, balance=_balance(rng, base_income, age, thrift),
        indebted=chance(rng, np.clip(0.34 - 0.09 * thrift + 0.03 * children, 0.03, 0.8) * (age > 20), count),
        card_share=noise(rng, 0.35, count), thrift=thrift,
        exchanger=rng.standard_normal(count) + 0.35 * factors[:, FACTORS.index("traveller")],
        generous=rng.standard_normal(count), cash=rng.standard_normal(count) + 0.03 * (age - 42),
        digital=rng.standard_normal(count) - 0.02 * (age - 42),
        factors=factors, taste=factors @ loadings() + 0.35 * rng.standard_normal((count, loadings().shape[1])),
    )  # fmt: skip


def _life(rng: Generator, count: int) -> tuple[Ints, Floats]:
    occupation = Choices([[0.64, 0.12, 0.08, 0.10, 0.06]]).draw_many(rng, count)
    adult = np.clip(18.5 + 45 * rng.beta(1.7, 2.1, count), 18, 64)
    student = rng.uniform(17, 23.99, count)
    pensioner = np.clip(60 + rng.gamma(2.0, 3.6, count), 60, 92)
    return occupation, np.choose(occupation, [adult, adult, student, pensioner, adult])


def _education(rng: Generator, age: Floats, occupation: Ints) -> Ints:
    level = Choices([[0.2, 0.3, 0.08, 0.42], [0.12, 0.24, 0.14, 0.5], [0.35, 0.1, 0.55, 0.0]])
    rows = np.where(occupation == STUDENT, 2, (age < 35).astype(np.int64))
    return level.draw(rng, rows)


def _base_income(
    rng: Generator, world: World, occupation: Ints, age: Floats, city: Ints, education: Ints, employer: Ints
) -> Floats:
    """Monthly income of a normal month: a Mincer equation (schooling, experience, place, employer) with unseen ability."""
    city_effect = np.array([effect for _, effect in CITIES.values()])[city]
    schooling = np.array([-0.22, -0.06, 0.02, 0.2])[education]
    curve = 0.1 - 0.42 * ((age - 43) / 22) ** 2
    ability = 0.34 * rng.standard_normal(len(age))
    working = np.log(320_000) + city_effect + schooling + curve + ability
    log_income = np.choose(
        occupation,
        [
            working + world.employers.premium[employer],
            working + 0.12 + 0.35 * rng.standard_normal(len(age)),
            np.log(95_000) + 0.4 * city_effect + 0.35 * rng.standard_normal(len(age)),
            np.log(140_000) + 0.3 * city_effect + 0.4 * schooling + 0.22 * rng.standard_normal(len(age)),
            np.log(110_000) + 0.5 * city_effect + 0.4 * rng.standard_normal(len(age)),
        ],
    )
    return np.exp(np.minimum(log_income, np.log(6_000_000)))


def _payday(world: World, occupation: Ints, employer: Ints, paid_here: Flags) -> Ints:
    """Index of PAYDAYS: pensions come on the 10th, others follow their employer, the rest has none."""
    own = np.where(occupation == EMPLOYED, world.employers.payday[employer], 0)
    return np.where((occupation == PENSIONER) & paid_here, 2, own)


def _balance(rng: Generator, income: Floats, age: Floats, thrift: Floats) -> Floats:
    months = np.exp(0.1 + 0.85 * thrift + 0.012 * (age - 40) + 0.6 * rng.standard_normal(len(age)))
    return np.round(income * np.minimum(months, 60), 2)


def _factors(rng: Generator, woman: Flags, age: Floats, children: Ints) -> Floats:
    shift = {
        "gamer": np.where(woman, -0.35, 0.3) - 0.03 * (age - 35),
        "driver": np.where(woman, -0.3, 0.35),
        "groomed": np.where(woman, 0.55, -0.6),
        "homemaker": 0.012 * (age - 40),
        "parent": 0.6 * children - 0.4,
        "sporty": -0.02 * (age - 38),
    }
    tastes = 0.85 * rng.standard_normal((len(age), len(FACTORS)))
    for number, factor in enumerate(FACTORS):
        tastes[:, number] += shift.get(factor, 0.0)
    return np.clip(tastes, -2.6, 2.6)
