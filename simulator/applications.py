"""Application forms that clients fill in at shops, with the gaps and roundings of real ones."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from simulator.categories import LEISURE
from simulator.people import BUSINESS, EMPLOYED, People
from simulator.policies import Case, approval_probability
from simulator.sampling import DAY, Choices, Flags, Floats, Ints, chance, noise
from simulator.seasons import Calendar, Timing
from simulator.vocabulary import EXPERIENCE_YEARS, GOODS, POSITIONS

MONTHLY_RATE = 0.125
"""Applications a client and month."""
YEAR = 365.25 * DAY
SHOPS = 60
TERMS = np.array([3, 6, 9, 12, 18, 24, 36])
PRICES = np.array([230_000, 320_000, 260_000, 210_000, 350_000, 240_000, 400_000, 110_000, 150_000, 300_000])
"""Median loan for each of vocabulary.GOODS, in tenge."""
GAPS = {"education": 0.04, "employment_status": 0.03, "value": 0.07, "jobstartdate": 0.06, "position": 0.07, "monthexpense": 0.05,
        "family_status": 0.04, "childcount": 0.05, "monthprofit": 0.02, "goods_category": 0.02, "birthdate": 0.01}  # fmt: skip
"""Share of forms in which a field is left empty."""


@dataclass(frozen=True)
class Applications:
    """One element per form, oldest first. Dates are seconds since 1970, texts are indexes of the vocabulary's lists.

    `empty` says per field where nothing was entered; `approval` are the true probabilities and `decision` the answers
    (1, 0, or -1 where the bank did not answer), shape (applications, banks).
    """

    created: Ints
    birth: Ints
    education: Ints
    occupation: Ints
    experience: Ints
    job_start: Ints
    position: Ints
    profit: Floats
    expense: Floats
    woman: Flags
    family: Ints
    children: Ints
    snils: Ints
    shop: Ints
    amount: Floats
    term: Ints
    goods: Ints
    empty: dict[str, Flags]
    approval: Floats
    decision: Ints


def make_applications(rng: Generator, calendar: Calendar, timing: Timing, people: People) -> Applications:
    """Every application of the chunk: people with little saved apply more often."""
    need = np.exp(-0.3 * people.thrift - 0.045) * (people.age >= 18)
    client = np.repeat(np.arange(len(people)), rng.poisson(MONTHLY_RATE * calendar.days / 30.4 * need))
    created = timing.whenever(rng, np.full(len(client), LEISURE))
    order = np.argsort(created, kind="stable")
    client, created = client[order], created[order]
    size = len(client)
    works = np.isin(people.occupation, (EMPLOYED, BUSINESS))[client]
    tenure = people.tenure[client]
    goods = Choices([0.24, 0.12, 0.12, 0.16, 0.07, 0.06, 0.05, 0.07, 0.05, 0.06]).draw_many(rng, size)
    form = {
        "created": created,
        "birth": (created - people.age[client] * YEAR).astype(np.int64) // DAY * DAY,
        "education": people.education[client],
        "occupation": people.occupation[client],
        "experience": np.searchsorted(EXPERIENCE_YEARS, tenure * rng.uniform(1, 1.8, size)),
        "job_start": (created - tenure * YEAR).astype(np.int64) // DAY * DAY,
        "position": _positions(rng, people)[client],
        "profit": np.maximum(np.round(people.base_income[client] * 1.08 * noise(rng, 0.16, size), -3), 20_000),
        "woman": people.woman[client],
        "family": _family(rng, people)[client],
        "children": people.children[client],
        "snils": chance(rng, 0.7, size).astype(np.int64),
        "shop": rng.integers(0, SHOPS, size),
        "amount": _amounts(rng, people.base_income[client], goods),
        "term": TERMS[Choices([0.1, 0.2, 0.08, 0.28, 0.1, 0.16, 0.08]).draw_many(rng, size)],
        "goods": goods,
    }
    form["expense"] = _expenses(rng, people, client, form["profit"])
    empty = {field: chance(rng, share, size) for field, share in GAPS.items()}
    for field in ("jobstartdate", "position", "value"):
        empty[field] |= ~works
    approval = approval_probability(rng, _read(form, empty))
    decision = chance(rng, approval, approval.shape).astype(np.int64)
    decision[chance(rng, 0.04, decision.shape)] = -1
    return Applications(**form, empty=empty, approval=approval, decision=decision)


def _positions(rng: Generator, people: People) -> Ints:
    skilled = Choices([[0.22, 0.24, 0.16, 0.14, 0.03, 0.01, 0.02, 0.05, 0.11, 0.02],
                       [0.04, 0.06, 0.04, 0.24, 0.15, 0.08, 0.11, 0.09, 0.12, 0.07]])  # fmt: skip
    position = skilled.draw(rng, (people.education == 3).astype(np.int64))
    return np.where(people.base_income > 900_000, POSITIONS.index("Руководитель"), position)


def _family(rng: Generator, people: People) -> Ints:
    alone = Choices([[0.93, 0.0, 0.07, 0.0], [0.5, 0.0, 0.4, 0.1]]).draw(rng, (people.age > 40).astype(np.int64))
    return np.where(people.married, 1, alone)


def _amounts(rng: Generator, income: Floats, goods: Ints) -> Floats:
    return np.maximum(np.round(PRICES[goods] * (income / 290_000) ** 0.35 * noise(rng, 0.6, len(goods)), -2), 15_000)


def _expenses(rng: Generator, people: People, client: Ints, profit: Floats) -> Floats:
    share = np.clip(0.3 + 0.035 * people.household + 0.14 * people.indebted - 0.04 * people.thrift, 0.1, 0.85)[client]
    return np.round(profit * np.clip(share + 0.09 * rng.standard_normal(len(client)), 0.05, 1.1), -3)


def _read(form: dict[str, Any], empty: dict[str, Flags]) -> Case:
    """The form as the banks see it: an empty field counts as an average answer."""
    profit = np.where(empty["monthprofit"], 250_000.0, form["profit"])
    expense = np.where(empty["monthexpense"], 0.45 * profit, form["expense"])
    instalment = form["amount"] / form["term"] * (1 + 0.012 * form["term"])
    tenure = (form["created"] - form["job_start"]) / YEAR
    return Case(
        age=np.where(empty["birthdate"], 35.0, (form["created"] - form["birth"]) / YEAR),
        tenure=np.where(empty["jobstartdate"], 1.0, tenure),
        experience=np.where(empty["value"], 3, form["experience"]),
        burden=np.clip((expense + instalment) / profit, 0, 1.6),
        size=np.log(form["amount"] / (12 * profit)),
        income=profit,
        term=form["term"].astype(np.float64),
        education=np.where(empty["education"], 1, form["education"]),
        occupation=np.where(empty["employment_status"], EMPLOYED, form["occupation"]),
        position=np.where(empty["position"], POSITIONS.index("Менеджер"), form["position"]),
        snils=form["snils"],
        goods=np.where(empty["goods_category"], GOODS.index("Home_repair"), form["goods"]),
        shop=form["shop"],
    )
