"""Which products a client may have and would gain from, and their order: benefit × propensity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bentos.catalogue import Product, Products
from bentos.push.grammar import amount_text
from bentos.tariffs import Benefit, Facts
from features.columns.holdings import PRODUCT_SLUGS

MOST = 4
"""How many products are recommended."""


@dataclass(frozen=True)
class Candidate:
    """A product that a client may have and would gain from."""

    product: Product
    benefit: Benefit


@dataclass(frozen=True)
class Scored:
    """A candidate with what the model saw and said."""

    candidate: Candidate
    row: dict[str, Any]
    propensity: float

    @property
    def expected_value(self) -> float:
        """Benefit × propensity, tenge."""
        return self.candidate.benefit.tenge * self.propensity


def candidates(products: Products, profile: Mapping[str, Any], behaviour: Mapping[str, Any], facts: Facts) -> list[Candidate]:
    """The products that the client does not hold, is eligible for and gains from (at least a tenge a year)."""
    possible = (
        product
        for product in products.product
        if not behaviour.get(f"holds_{PRODUCT_SLUGS[product.name]}")
        and product.eligibility.admits(profile["age"], profile["status"], facts)
    )
    found = [Candidate(product, product.tariff.benefit(facts)) for product in possible]
    return [candidate for candidate in found if candidate.benefit.tenge >= 1]


def ranked(scored: list[Scored]) -> list[Scored]:
    """The highest expected value first; of equal ones by name, so that the order never depends on chance."""
    return sorted(scored, key=lambda one: (-one.expected_value, one.candidate.product.name))


def decision(place: int) -> dict[str, str]:
    """What the journal says was decided about the product at this place, counted from 0."""
    return {"accepted": "recommended" if place < MOST else "not recommended"}


def reason_text(candidate: Candidate) -> str:
    """The catalogue's sentence with the client's own figures."""
    benefit = candidate.benefit
    return candidate.product.reason.format(fact=amount_text(benefit.fact), benefit=amount_text(benefit.tenge))
