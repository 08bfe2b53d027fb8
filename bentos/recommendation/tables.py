"""The tables of recommendations and push texts, and their rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, Float, Integer, MetaData, Table, Text

from database import UtcTime, unsampled

SCHEMA = MetaData()
RUNS = Table(
    "recommendation_runs",
    SCHEMA,
    Column("run", Text, primary_key=True),
    Column("started", UtcTime, nullable=False),
    Column("completed", UtcTime),
    Column("model_version", Text, nullable=False),
)
RECOMMENDATIONS = Table(
    "recommendations",
    SCHEMA,
    Column("run", Text, primary_key=True),
    Column("client_code", Text, primary_key=True),
    Column("rank", Integer, primary_key=True),
    Column("product", Text, nullable=False),
    Column("expected_benefit", Float, nullable=False),
    Column("propensity", Float, nullable=False),
    Column("observed", Text, nullable=False),
    Column("score_id", Text, nullable=False),
)
PUSHES = Table(
    "push_notifications",
    SCHEMA,
    Column("run", Text, primary_key=True),
    Column("client_code", Text, primary_key=True),
    Column("product", Text, nullable=False),
    Column("push_notification", Text, nullable=False),
    Column("score_id", Text, nullable=False),
)
unsampled(RECOMMENDATIONS, "client_code", "observed")
unsampled(PUSHES, "client_code", "push_notification")


@dataclass(frozen=True)
class Run:
    """A computation of the recommendations of all clients."""

    id: str
    model_version: str
    completed: datetime


@dataclass(frozen=True)
class Stored:
    """A recommendation as it lies in the store; `observed` is the JSON that `bentos.push.facts` gives."""

    client_code: str
    rank: int
    product: str
    expected_benefit: float
    propensity: float
    observed: str
    score_id: str


@dataclass(frozen=True)
class StoredPush:
    """A push text as it lies in the store."""

    client_code: str
    product: str
    push_notification: str
    score_id: str
