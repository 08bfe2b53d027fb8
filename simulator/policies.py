"""How the banks decide on an application form: different functions that the prescoring model has to find out."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from features.tables import BANKS
from simulator.people import BUSINESS, EMPLOYED, IDLE
from simulator.sampling import Floats, Ints, sigmoid

SECRET = 0.5
"""Sigma of what a bank knows beyond the form (a credit bureau, its own records), in log-odds."""


@dataclass(frozen=True)
class Case:
    """What the banks read out of a form; where the applicant left a field empty the value is the banks' neutral one.

    `burden` is (expenses + instalment) / income, `size` the logarithm of loan / yearly income.
    """

    age: Floats
    tenure: Floats
    experience: Ints
    burden: Floats
    size: Floats
    income: Floats
    term: Floats
    education: Ints
    occupation: Ints
    position: Ints
    snils: Ints
    goods: Ints
    shop: Ints


def approval_probability(rng: Generator, case: Case) -> Floats:
    """Probability of approval by each bank, shape (applications, banks)."""
    logits = np.stack([POLICIES.get(bank, _plain(bank))(case) for bank in BANKS], axis=1)
    return sigmoid(logits + SECRET * rng.standard_normal(logits.shape))


def _bank_a(case: Case) -> Floats:
    """Classical affordability: how much of the income is spoken for, then the length of the job."""
    worker = np.isin(case.occupation, (EMPLOYED, BUSINESS))
    return -0.9 - 9.5 * (case.burden - 0.68) + 1.0 * np.log(case.tenure + 0.3) + 0.6 * worker - 0.9 * (case.tenure < 0.5)


def _bank_b(case: Case) -> Floats:
    """Wants an established earner: income, tenure, schooling."""
    log_income = np.log(case.income / 280_000)
    return -0.4 + 2.6 * log_income + 1.0 * np.log1p(case.tenure) - 0.9 + 0.5 * (case.education == 3) + 0.35 * case.snils


def _bank_c(case: Case) -> Floats:
    """Lends on goods: small tickets, goods that keep their value, shops it trusts."""
    goods = np.array([-1.3, -0.5, 0.8, 1.1, 0.9, 1.2, -1.6, -0.9, 0.4, 0.5])[case.goods]
    shop = 1.1 * np.sin(case.shop * 2.4)
    return 0.1 - 1.5 * (case.size + 2.4) + 1.3 * goods + shop - 1.5 * (case.burden > 0.95)


def _bank_d(case: Case) -> Floats:
    """Avoids the very young, the very long and the jobless; likes employees in settled positions."""
    jobless = case.occupation == IDLE
    too_young = np.clip((25 - case.age) / 4, 0, 2)
    position = np.array([-0.6, -0.9, -0.4, 0.3, 0.6, 0.9, 0.8, 0.5, 0.2, 1.0])[case.position]
    return 0.6 - 1.8 * too_young - 2.8 * jobless - 0.13 * (case.term - 12) + 1.9 * position - 2.6 * (case.burden - 0.7)


def _bank_e(case: Case) -> Floats:
    """Generous with short loans, strict with long ones unless the job is old; wants the insurance number."""
    long_loan = case.term >= 18
    settled = (case.experience >= 5) | (case.tenure > 4)
    return (
        np.where(long_loan, -3.0 + 3.2 * settled, 0.8) + 1.1 * case.snils - 2.4 * (case.burden - 0.7) - 1.4 * (case.size > -1.6)
    )


def _plain(bank: str) -> Callable[[Case], Floats]:
    """Affordability, income and job, weighed in a way that the bank's code decides: for a bank without a function of its own."""
    drawn = np.random.default_rng(int.from_bytes(hashlib.sha256(bank.encode()).digest()[:8])).uniform(0.5, 1.5, 4)

    def policy(case: Case) -> Floats:
        burden, income, tenure, snils = drawn * (5.0, 1.2, 0.7, 0.8)
        weighed = income * np.log(case.income / 280_000) + tenure * np.log(case.tenure + 0.3) + snils * (case.snils - 0.7)
        return 0.3 - burden * (case.burden - 0.7) + weighed

    return policy


POLICIES: dict[str, Callable[[Case], Floats]] = {
    "bank_a": _bank_a,
    "bank_b": _bank_b,
    "bank_c": _bank_c,
    "bank_d": _bank_d,
    "bank_e": _bank_e,
}
"""Log-odds of approval by each bank before what it keeps to itself."""
