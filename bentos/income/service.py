"""The income service: what a client earns a month, why, and what to offer."""

from __future__ import annotations

from typing import Annotated, Literal

import bentoml
from fastapi import FastAPI, Path, Query

from bentos.income.clients import Card, ClientPage, IncomeClients
from bentos.income.health import Health, IncomeHealth
from bentos.income.imports import Imports, add_imports
from bentos.income.offerings import OfferedProduct
from bentos.income.prediction import IncomePredictor, Prediction, PredictionRequest, SimulationRequest
from bentos.income.renewal import Renewal
from bentos.serving.application import guarded, scoring_app, service_options
from bentos.serving.backend import Backend
from bentos.serving.bodies import ClientCode
from bentos.serving.clients import CLIENT_REFUSALS
from bentos.serving.entrance import entrance
from bentos.serving.flow_runs import FlowRuns
from bentos.serving.served import Served
from settings import settings

ClientId = Annotated[ClientCode, Path(description="The bank's code of the client.", examples=["12345"])]
Amount = Annotated[float | None, Query(ge=0, le=1e15, allow_inf_nan=False, description="Tenge a month.", examples=[250000])]


def income_app(backend: Backend, clients: IncomeClients | None = None) -> FastAPI:
    """The application of the income service over an opened backend."""
    predictor = IncomePredictor(backend)
    known = clients or IncomeClients(backend, predictor)
    runs = FlowRuns(backend.config)
    health = IncomeHealth(backend, runs)
    app = scoring_app("Opora: income", "What a client earns a month.", backend)

    @app.post("/api/predictions", tags=["income"], responses=CLIENT_REFUSALS)
    def predictions(request: PredictionRequest) -> Prediction:
        """Income with a 90 % interval and a segment."""
        return predictor.predict(request)

    @app.post("/api/simulate", tags=["income"], responses=CLIENT_REFUSALS)
    def simulate(request: SimulationRequest) -> Prediction:
        """Income with some features replaced: a what-if question, marked as a simulation in the journal."""
        return predictor.simulate(request)

    @app.get("/api/clients/{id}/card", tags=["clients"], responses=CLIENT_REFUSALS)
    def card(id: ClientId) -> Card:
        """Who the client is, the predicted income, why, and what to offer."""
        return known.card(id)

    @app.get("/api/clients/{id}/offers", tags=["clients"], responses=CLIENT_REFUSALS)
    def offers(id: ClientId) -> list[OfferedProduct]:
        """The products for a client, by segment, income and the rules of catalogues/offerings.toml."""
        return known.products(id)

    @app.get("/api/clients", tags=["clients"])
    def page(
        segment_code: Annotated[Literal["low", "middle", "high", "premium"] | None, Query(description="Income segment.")] = None,
        min_income: Amount = None,
        max_income: Amount = None,
        limit: Annotated[int, Query(ge=1, le=500, description="Most clients on the page.")] = 50,
        offset: Annotated[int, Query(ge=0, le=100_000_000, description="Clients to pass over.")] = 0,
    ) -> ClientPage:
        """Clients with their predicted incomes, in order of their codes. The whole list comes from one model version.

        It is renewed soon after a new champion or new features. Being an index, it is not in the journal: the card is.
        """
        return known.page(segment_code, min_income, max_income, limit, offset)

    @app.get("/api/monitoring/model-health", tags=["monitoring"])
    def model_health() -> Health:
        """Requests, latency, versions and failed imports of the last 24 hours."""
        return health.last_day()

    add_imports(app, Imports(backend.config, runs), backend.config)
    return app


BACKEND = Backend("income", settings())
CLIENTS = IncomeClients(BACKEND, IncomePredictor(BACKEND))
RENEWAL = Renewal(CLIENTS)


@entrance(guarded(income_app(BACKEND, CLIENTS), settings()), "income", settings())
@bentoml.service(**service_options(settings(), 3001))
class IncomeService(Served):
    """The income application under BentoML, with a thread that keeps the list of clients up to date."""

    backend = BACKEND

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    def start(self) -> None:
        """Open the databases, follow the champion and keep the list."""
        super().start()
        RENEWAL.start()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Stop renewing the list and flush the journal."""
        RENEWAL.stop()
        super().stop()
