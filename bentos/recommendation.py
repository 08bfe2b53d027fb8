"""The recommendation service: the products that are worth most to a client, by benefit × propensity."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import bentoml
from fastapi import FastAPI, Path
from pydantic import BaseModel, ConfigDict, Field

from bentos.application import guarded, scoring_app, service_options
from bentos.backend import Backend
from bentos.bodies import ClientCode
from bentos.catalogue import Product, Products, load_catalogue
from bentos.clients import CLIENT_REFUSALS, unknown_client, without_features
from bentos.facts import facts_of
from bentos.rows import frame_of, records_of, seen_by
from bentos.served import Served
from bentos.tariffs import Benefit, Facts
from features.holdings import PRODUCT_SLUGS, with_products
from settings import settings

if TYPE_CHECKING:
    from registry.models import LoadedModel

MOST = 4


class Recommendation(BaseModel):
    """A product for a client, and why."""

    model_config = ConfigDict(protected_namespaces=())

    product: str = Field(description="Name of the product.")
    expected_benefit: float = Field(description="What the client gains over the next 12 months by the product's tariff, tenge.")
    propensity: float = Field(description="Probability that the client accepts, 0 to 1.")
    rank: int = Field(description="1 = highest expected value (benefit × propensity).")
    reason: str = Field(description="Why, in Russian.")
    model_version: str = Field(description="Registry version that computed the propensity.")
    score_id: str = Field(description="Names the row of the journal.")


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


def amount_text(tenge: float) -> str:
    """`27 400 ₸`"""
    return f"{tenge:,.0f} ₸".replace(",", " ")


def reason_text(candidate: Candidate) -> str:
    """The catalogue's sentence with the client's own figures."""
    benefit = candidate.benefit
    return candidate.product.reason.format(fact=amount_text(benefit.fact), benefit=amount_text(benefit.tenge))


class Recommender:
    """Ranks products over an opened backend."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._products = load_catalogue(Products, backend.config.catalogues)

    def recommend(self, client_code: str) -> list[Recommendation]:
        """The best products of a client, at most four; the rows of all that were scored are durable when this returns.

        Raises:
            RequestRefused: 404, the bank has no such client; 409, it has no features yet.
        """
        started = time.perf_counter()
        model = self._backend.champion.model()
        profile, behaviour = self._known(client_code)
        found = candidates(self._products, profile, behaviour, facts_of(profile, behaviour))
        if not found:
            return []
        ranked = sorted(self._score(model, found, behaviour, started, client_code), key=_order)
        kept = [
            self._backend.row(
                model,
                scored.row,
                {"accepted": scored.propensity},
                started,
                client_code,
                {"accepted": "recommended" if place < MOST else "not recommended"},
            )
            for place, scored in enumerate(ranked)
        ]
        self._backend.keep(kept)
        return [
            Recommendation(
                product=scored.candidate.product.name,
                expected_benefit=round(scored.candidate.benefit.tenge, 2),
                propensity=scored.propensity,
                rank=place,
                reason=reason_text(scored.candidate),
                model_version=model.version,
                score_id=row.score_id,
            )
            for place, (scored, row) in enumerate(zip(ranked[:MOST], kept, strict=False), start=1)
        ]

    def _known(self, client_code: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        profile = self._backend.online.get("profile", client_code)
        if profile is None:
            raise unknown_client("client_code")
        behaviour = self._backend.online.get("recommendation", client_code)
        if behaviour is None:
            raise without_features("client_code")
        return profile.values, behaviour.values

    def _score(
        self,
        model: LoadedModel,
        found: list[Candidate],
        behaviour: Mapping[str, Any],
        started: float,
        client_code: str,
    ) -> list[Scored]:
        by_product = {record["product"]: record for record in records_of(with_products(frame_of(behaviour)))}
        rows = [seen_by(model.scorer, by_product[candidate.product.name]) for candidate in found]
        propensities = self._backend.predict(model, frame_of(*rows), started, client_code)["accepted"]
        return [Scored(*parts) for parts in zip(found, rows, map(float, propensities), strict=True)]


def _order(scored: Scored) -> tuple[float, str]:
    return -scored.expected_value, scored.candidate.product.name


def recommendation_app(backend: Backend) -> FastAPI:
    """The application of the recommendation service over an opened backend."""
    recommender = Recommender(backend)
    app = scoring_app("Opora: recommendation", "The next best products of a client.", backend)

    @app.get("/recommendations/{client_code}", tags=["recommendation"], responses=CLIENT_REFUSALS)
    def recommendations(client_code: Annotated[ClientCode, Path(examples=["12345"])]) -> list[Recommendation]:
        """The top products by expected value; fewer than four when the client is eligible for, or gains from, fewer."""
        return recommender.recommend(client_code)

    return app


BACKEND = Backend("recommendation", settings())


@bentoml.service(**service_options(settings(), 3003))
@bentoml.asgi_app(guarded(recommendation_app(BACKEND), settings()))
class RecommendationService(Served):
    """The recommendation application under BentoML."""

    backend = BACKEND
