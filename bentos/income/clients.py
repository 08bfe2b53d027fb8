"""Clients as the bank's staff see them: a page of the list, and the card of one."""

from __future__ import annotations

import threading
from datetime import datetime
from functools import cached_property
from math import inf, nextafter
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from bentos.catalogue import load_catalogue
from bentos.income.explanation import Explanation, explain
from bentos.income.offerings import OfferedProduct, Offerings, offered
from bentos.income.prediction import IncomePredictor, Prediction, Scored
from bentos.income.rounds import ListedClient, Rounds
from bentos.serving.backend import Backend
from database import open_database
from edge.errors import RequestRefused

_PATIENCE = 3.0
"""Seconds that the first caller of the list waits for the first round; enough for some ten thousand clients."""

SEGMENT_CODES = ("low", "middle", "high", "premium")


class Client(BaseModel):
    """What the bank knows about a client; null = not known."""

    client_id: str = Field(description="The bank's code of the client.")
    name: str | None = Field(None, description="First name.")
    status: str | None = Field(None, description="Status in the clients table, e.g. Зарплатный клиент.")
    age: int | None = Field(None, description="Years.")
    city: str | None = Field(None, description="City of residence.")
    average_balance: float | None = Field(None, description="Average monthly balance, tenge.")
    holdings: list[str] = Field(description="Products that the client has.")


class Card(BaseModel):
    """Everything on one page: who it is, what is earned, why we think so, what to offer."""

    client: Client
    prediction: Prediction
    explanation: Explanation
    products: list[OfferedProduct] = Field(description="What to offer, the first the most fitting.")


class ListedPrediction(BaseModel):
    """A client in the list; the prediction is that of the last round, see `model_version` and `as_of` of the page."""

    client_id: str = Field(description="The bank's code of the client.")
    name: str | None = Field(description="First name.")
    income_pred: float = Field(description="Predicted income, tenge a month.")
    interval_low: float = Field(description="Lower end of the 90 % conformal interval, tenge a month.")
    interval_high: float = Field(description="Upper end of the 90 % conformal interval, tenge a month.")
    segment_code: str = Field(description="low, middle, high or premium.")
    segment_name: str = Field(description="Name of the segment, Russian.")


class ClientPage(BaseModel):
    """A page of the list of clients."""

    model_config = ConfigDict(protected_namespaces=())

    items: list[ListedPrediction] = Field(description="The clients of this page.")
    total: int = Field(description="Clients that the filters let through.")
    limit: int = Field(description="Most clients on a page, as asked for.")
    offset: int = Field(description="Clients passed over, as asked for.")
    model_version: str = Field(description="Registry version that predicted the whole list.")
    as_of: datetime = Field(description="The moment that the features describe, UTC.")


class IncomeClients:
    """Cards and lists over an opened backend."""

    def __init__(self, backend: Backend, predictor: IncomePredictor) -> None:
        self._backend = backend
        self._predictor = predictor
        self._offerings = load_catalogue(Offerings, backend.config.catalogues)
        self._one_round_at_a_time = threading.Lock()

    @cached_property
    def rounds(self) -> Rounds:
        """Predictions of all clients, beside the online features."""
        return Rounds(open_database(self._backend.config.database("online")))

    def card(self, client_id: str) -> Card:
        """The card of a client; its score is in the journal with source "card".

        Raises:
            RequestRefused: 404, the bank has no such client; 409, it has no features.
        """
        scored = self._predictor.client(client_id, "card")
        profile = self._profile(client_id)
        client = Client(
            client_id=client_id,
            **{name: profile.get(name) for name in ("name", "status", "age", "city")},
            average_balance=profile.get("avg_monthly_balance_KZT"),
            holdings=profile.get("holdings") or [],
        )
        return Card(
            client=client,
            prediction=scored.prediction,
            explanation=explain(scored),
            products=self._products(scored, client.holdings),
        )

    def products(self, client_id: str) -> list[OfferedProduct]:
        """The products for a client; the score behind them is in the journal with source "offers"."""
        scored = self._predictor.client(client_id, "offers")
        return self._products(scored, self._profile(client_id).get("holdings") or [])

    def page(
        self, segment_code: str | None, min_income: float | None, max_income: float | None, limit: int, offset: int
    ) -> ClientPage:
        """Clients of a segment with min_income ≤ income ≤ max_income, tenge a month, in order of their codes.

        Raises:
            RequestRefused: 503, the first round over all clients is not finished yet.
        """
        newest = self.rounds.newest()
        if newest is None:
            self._backend.champion.model()
            first = threading.Thread(target=self.renew, name="income-first-round", daemon=True)
            first.start()
            first.join(_PATIENCE)
            newest = self.rounds.newest()
        if newest is None:
            message = "the incomes of all clients are being predicted for the first time: ask again"
            raise RequestRefused(503, "list_not_ready", message, headers={"Retry-After": "5"})
        least, below = self._bounds(segment_code, min_income, max_income)
        found, total = self.rounds.page(newest, least, below, limit, offset)
        return ClientPage(
            items=[self._listed(one) for one in found],
            total=total,
            limit=limit,
            offset=offset,
            model_version=newest.model_version,
            as_of=newest.as_of,
        )

    def renew(self) -> None:
        """Predict all clients anew where the champion or the features have changed; a no-op while somebody is at it."""
        if self._backend.champion.ready and self._one_round_at_a_time.acquire(blocking=False):
            try:
                self.rounds.renew(self._backend.champion.model())
            finally:
                self._one_round_at_a_time.release()

    def _bounds(self, segment: str | None, least: float | None, most: float | None) -> tuple[float | None, float | None]:
        edges = (None, *self._backend.config.segment_borders, None)
        place = SEGMENT_CODES.index(segment) if segment else None
        above, under = (None, None) if place is None else (edges[place], edges[place + 1])
        beyond = None if most is None else nextafter(most, inf)
        return _larger(least, above), _smaller(beyond, under)

    def _products(self, scored: Scored, held: list[str]) -> list[OfferedProduct]:
        return offered(self._offerings, scored.segment, scored.prediction.income_pred, scored.row, held)

    def _profile(self, client_id: str) -> dict[str, Any]:
        row = self._backend.online.get("profile", client_id)
        return {} if row is None else row.values

    def _listed(self, one: ListedClient) -> ListedPrediction:
        segment = self._predictor.segment(one.income)
        return ListedPrediction(
            client_id=one.client_code,
            name=self._profile(one.client_code).get("name"),
            income_pred=one.income,
            interval_low=one.low,
            interval_high=one.high,
            segment_code=segment.code,
            segment_name=segment.name_ru,
        )


def _larger(one: float | None, other: float | None) -> float | None:
    return max((bound for bound in (one, other) if bound is not None), default=None)


def _smaller(one: float | None, other: float | None) -> float | None:
    return min((bound for bound in (one, other) if bound is not None), default=None)
