"""How each purchase category is bought: how often, for how much, when, and by which taste."""

from dataclasses import dataclass

import numpy as np

from features.categories import CATEGORIES
from simulator.sampling import Floats

EVERYDAY, WORK, LEISURE, TRAVEL, GIFTS = range(5)
"""Day profiles: when in a week and a year something is bought."""

FACTORS = ("traveller", "gamer", "driver", "homemaker", "groomed", "foodie", "parent", "reader", "pet_owner", "sporty")
"""Latent tastes of a client; several categories share one."""


@dataclass(frozen=True)
class Habit:
    """Purchases a month and ticket (tenge, sigma of its logarithm) of the median client.

    `elasticity` is by which power of income the ticket grows; `tastes` are loadings on FACTORS; `months` are seasonal
    multipliers by calendar month; `abroad` is the share paid in a foreign currency.
    """

    frequency: float
    ticket: float
    sigma: float
    elasticity: float
    profile: int
    tastes: dict[str, float]
    months: dict[int, float]
    abroad: float = 0.0


SUMMER = {5: 1.2, 6: 1.6, 7: 1.9, 8: 1.7, 9: 1.1, 11: 0.7, 2: 0.7}
FESTIVE = {12: 2.4, 3: 1.6, 2: 1.2}

HABITS = {
    "groceries": Habit(4.4, 5_500, 0.65, 0.30, EVERYDAY, {"foodie": 0.15, "parent": 0.2}, {12: 1.25, 7: 0.95}),
    "restaurants": Habit(2.0, 6_000, 0.6, 0.45, LEISURE, {"foodie": 0.65}, {12: 1.3, 3: 1.1, 1: 0.9}),
    "taxi": Habit(2.0, 1_600, 0.5, 0.25, WORK, {"driver": -0.55, "traveller": 0.3}, {1: 1.3, 2: 1.2, 12: 1.3, 7: 0.85}),
    "fuel": Habit(0.9, 9_000, 0.35, 0.20, WORK, {"driver": 0.95}, {7: 1.25, 8: 1.2, 6: 1.15, 1: 0.85}),
    "clothing": Habit(
        0.45, 18_000, 0.75, 0.50, LEISURE, {"groomed": 0.45, "parent": 0.25}, {8: 1.6, 9: 1.3, 11: 1.3, 12: 1.5}, 0.03
    ),
    "travel": Habit(0.14, 75_000, 0.8, 0.65, TRAVEL, {"traveller": 1.15}, SUMMER, 0.25),
    "hotels": Habit(0.09, 45_000, 0.7, 0.65, TRAVEL, {"traveller": 1.2}, SUMMER, 0.35),
    "health": Habit(0.6, 9_000, 0.85, 0.35, WORK, {"parent": 0.2}, {1: 1.2, 2: 1.25, 11: 1.2, 7: 0.8}),
    "sport": Habit(0.22, 14_000, 0.7, 0.45, EVERYDAY, {"sporty": 1.0}, {1: 1.7, 9: 1.3, 7: 0.8}),
    "entertainment": Habit(0.3, 7_000, 0.7, 0.40, LEISURE, {"gamer": 0.35, "parent": 0.3}, {6: 1.2, 12: 1.5}),
    "cinema": Habit(0.26, 3_500, 0.45, 0.20, LEISURE, {"gamer": 0.6, "reader": 0.2}, {1: 1.4, 11: 1.15, 7: 0.8}),
    "pets": Habit(0.2, 6_000, 0.6, 0.30, EVERYDAY, {"pet_owner": 1.3}, {}),
    "books": Habit(0.16, 5_000, 0.55, 0.25, EVERYDAY, {"reader": 1.1, "parent": 0.2}, {8: 1.8, 9: 1.5}),
    "flowers": Habit(0.11, 9_000, 0.5, 0.35, GIFTS, {"groomed": 0.2}, {3: 3.0, 9: 1.4, 2: 1.7}),
    "eat_at_home": Habit(0.7, 5_500, 0.45, 0.25, LEISURE, {"foodie": 0.6, "gamer": 0.35}, {1: 1.2, 12: 1.2, 7: 0.85}),
    "watch_at_home": Habit(0.3, 2_500, 0.35, 0.10, EVERYDAY, {"gamer": 0.75, "reader": 0.2}, {11: 1.15, 1: 1.15}, 0.15),
    "play_at_home": Habit(0.24, 5_000, 0.7, 0.25, LEISURE, {"gamer": 1.25}, {11: 1.3, 12: 1.3, 7: 0.85}, 0.15),
    "beauty": Habit(0.3, 11_000, 0.6, 0.45, EVERYDAY, {"groomed": 0.95}, FESTIVE),
    "gifts": Habit(0.18, 12_000, 0.7, 0.45, GIFTS, {"parent": 0.3, "groomed": 0.2}, FESTIVE),
    "home_repair": Habit(0.17, 25_000, 0.9, 0.45, LEISURE, {"homemaker": 0.95}, {4: 1.3, 5: 1.4, 6: 1.3, 7: 1.2, 1: 0.6}),
    "furniture": Habit(0.06, 70_000, 0.8, 0.55, LEISURE, {"homemaker": 0.9}, {4: 1.2, 9: 1.3, 11: 1.3}),
    "spa": Habit(0.09, 15_000, 0.5, 0.50, LEISURE, {"groomed": 0.9}, {3: 1.3, 12: 1.3}),
    "jewellery": Habit(0.03, 60_000, 0.8, 0.65, GIFTS, {"groomed": 0.75}, FESTIVE),
    "auto": Habit(0.16, 28_000, 0.9, 0.40, WORK, {"driver": 1.15}, {4: 1.4, 11: 1.6, 10: 1.3}),
}
"""Habit of each category, by slug."""

SLUGS = tuple(CATEGORIES.values())
ORDERED = tuple(HABITS[slug] for slug in SLUGS)


def loadings() -> Floats:
    """Loadings of the categories on the tastes, shape (factors, categories)."""
    return np.array([[habit.tastes.get(factor, 0.0) for habit in ORDERED] for factor in FACTORS])


def seasons(calendar_months: list[int]) -> Floats:
    """Seasonal multiplier of each month and category, shape (months, categories)."""
    return np.array([[habit.months.get(month, 1.0) for habit in ORDERED] for month in calendar_months])


def of_habits(name: str) -> Floats:
    """One attribute of all habits, in the order of features.categories.CATEGORIES."""
    return np.array([getattr(habit, name) for habit in ORDERED], dtype=np.float64)
