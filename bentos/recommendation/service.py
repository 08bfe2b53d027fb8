"""The recommendation service: the products that are worth most to a client, by benefit × propensity."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import bentoml
from fastapi import FastAPI, Path

from bentos.catalogue import Products
from bentos.recommendation.answers import Recommendation
from bentos.recommendation.desk import Desk
from bentos.recommendation.facts import facts_of
from bentos.recommendation.ranking import MOST, Candidate, Scored, candidates, decision, ranked, reason_text
from bentos.recommendation.routes import add_batch_routes
from bentos.serving.application import guarded, scoring_app, service_options
from bentos.serving.backend import Backend
from bentos.serving.bodies import ClientCode
from bentos.serving.clients import CLIENT_REFUSALS, unknown_client, without_features
from bentos.serving.entrance import entrance
from bentos.serving.rows import frame_of, records_of, seen_by
from bentos.serving.served import Served
from features.holdings import with_products
from settings import settings

if TYPE_CHECKING:
    from registry.loading import LoadedModel


class Recommender:
    """Ranks products over an opened backend."""

    def __init__(self, backend: Backend, products: Products) -> None:
        self._backend = backend
        self._products = products

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
        ordered = ranked(self._score(model, found, behaviour, started, client_code))
        kept = [
            self._backend.row(
                model,
                scored.row,
                {"accepted": scored.propensity},
                started,
                client_code,
                decision(place),
            )
            for place, scored in enumerate(ordered)
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
            for place, (scored, row) in enumerate(zip(ordered[:MOST], kept, strict=False), start=1)
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


def recommendation_app(backend: Backend) -> FastAPI:
    """The application of the recommendation service over an opened backend."""
    desk = Desk(backend)
    recommender = Recommender(backend, desk.products)
    app = scoring_app("Opora: recommendation", "The next best products of a client, and the push texts that say so.", backend)
    add_batch_routes(app, desk, backend.config)

    @app.get("/recommendations/{client_code}", tags=["recommendation"], responses=CLIENT_REFUSALS)
    def recommendations(
        client_code: Annotated[ClientCode, Path(description="The bank's code of the client.", examples=["12345"])],
    ) -> list[Recommendation]:
        """The top products by expected value; fewer than four when the client is eligible for, or gains from, fewer."""
        return recommender.recommend(client_code)

    return app


BACKEND = Backend("recommendation", settings())


@entrance(guarded(recommendation_app(BACKEND), settings()), "recommendation", settings())
@bentoml.service(**service_options(settings(), 3003))
class RecommendationService(Served):
    """The recommendation application under BentoML."""

    backend = BACKEND
