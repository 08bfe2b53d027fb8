"""Predictions for every client at once, so that clients can be listed by income: a round per model version and feature state."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import orjson
import pandas as pd
from sqlalchemy import (
    Column,
    ColumnElement,
    DateTime,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    column,
    delete,
    func,
    insert,
    literal_column,
    select,
    table,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from clock import now
from database import UtcTime, create_tables, unsampled

if TYPE_CHECKING:
    from registry.loading import LoadedModel

_METADATA = MetaData()
_ROUNDS = Table(
    "income_rounds",
    _METADATA,
    Column("round_id", Text, primary_key=True),
    Column("model_version", Text, nullable=False),
    Column("as_of", UtcTime, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("alive_at", UtcTime),
    Column("finished_at", UtcTime),
    Column("clients", Integer, nullable=False),
)
_ROWS = Table(
    "income_round_rows",
    _METADATA,
    Column("round_id", Text, primary_key=True),
    Column("client_code", Text, primary_key=True),
    Column("income", Float, nullable=False),
    Column("low", Float, nullable=False),
    Column("high", Float, nullable=False),
    Index("income_round_rows_by_income", "round_id", "income"),
)
unsampled(_ROWS, "client_code")
_ONLINE = table("online_features", column("client_code"), column("feature_set"), column("as_of", DateTime), column("values"))
_BATCH = 1000
_GIVEN_UP = timedelta(minutes=1)
"""A round that is not finished and has shown no sign of life for so long belongs to a process that died."""

logger = logging.getLogger("opora.income")


@dataclass(frozen=True)
class Round:
    """A finished round: `clients` predictions of a model version on features as of a moment."""

    round_id: str
    model_version: str
    as_of: datetime
    clients: int


@dataclass(frozen=True)
class ListedClient:
    """A client's prediction in a round, tenge a month."""

    client_code: str
    income: float
    low: float
    high: float


class Rounds:
    """Rounds in the database of the online features; the newest finished one is listed while the next one is computed.

    Memory does not grow with the bank: rows are read, scored and written `_BATCH` at a time, each batch in a transaction of its
    own, so that nobody waits long for the lock.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = engine.execution_options(read_only=True)
        create_tables(engine, _METADATA)

    def newest(self) -> Round | None:
        """The round to list from; None before the first one is finished."""
        wanted = select(_ROUNDS).where(_ROUNDS.c.finished_at.is_not(None)).order_by(_ROUNDS.c.finished_at.desc()).limit(1)
        with self._reader.connect() as connection:
            row = connection.execute(wanted).mappings().first()
        return None if row is None else Round(row["round_id"], row["model_version"], row["as_of"], row["clients"])

    def page(
        self, of: Round, least: float | None, below: float | None, limit: int, offset: int
    ) -> tuple[list[ListedClient], int]:
        """Clients with least ≤ income < below (None = no bound) in order of their codes, and how many there are in all."""
        rows = _ROWS.c
        wanted = [rows.round_id == of.round_id]
        wanted += [rows.income >= least] if least is not None else []
        wanted += [rows.income < below] if below is not None else []
        some = select(rows.client_code, rows.income, rows.low, rows.high).where(*wanted).order_by(rows.client_code)
        bounded = least is not None or below is not None
        with self._reader.connect() as connection:
            total = (
                connection.execute(select(func.count()).select_from(_ROWS).where(*wanted)).scalar_one() if bounded else of.clients
            )
            found = connection.execute(some.limit(limit).offset(offset)).all()
        return [ListedClient(*row) for row in found], total

    def renew(self, model: LoadedModel) -> bool:
        """Compute the round of this model over the present online features, unless it is there or somebody is at it."""
        as_of, clients, written_as = self._features_state()
        round_id = f"{model.version}:{model.sha256[:12]}:{as_of.isoformat() if as_of else 'empty'}:{clients}:{written_as}"
        begun = now()
        if not self._begin(round_id, model.version, as_of or begun, clients, begun):
            return False
        held = update(_ROUNDS).where(_ROUNDS.c.round_id == round_id, _ROUNDS.c.started_at == begun)
        written = 0
        for codes, frame in self._feature_rows():
            rows = _predicted(round_id, codes, model, frame)
            with self._engine.begin() as connection:
                if not connection.execute(held.values(alive_at=now())).rowcount:
                    return False  # it was slept through, and taken over
                connection.execute(insert(_ROWS), rows)
            written += len(codes)
        with self._engine.begin() as connection:
            if not connection.execute(held.values(finished_at=now(), clients=written)).rowcount:
                return False
        self._forget_others(round_id)
        logger.info("income: %d clients predicted by version %s", written, model.version)
        return True

    def _features_state(self) -> tuple[datetime | None, int, int]:
        """Which moment the features describe, of how many clients, and a number that is another once they are written again.

        A set is replaced in one transaction, so one row tells of all. The number is what the database itself gives rows: late
        files change features without changing the moment.
        """
        ours = _ONLINE.c.feature_set == "income"
        mark = "xmin::text::bigint" if self._engine.dialect.name == "postgresql" else "rowid"
        with self._reader.connect() as connection:
            row = connection.execute(select(_ONLINE.c.as_of, literal_column(mark)).where(ours).limit(1)).first()
            count = connection.execute(select(func.count()).select_from(_ONLINE).where(ours)).scalar_one()
        return (None, 0, 0) if row is None else (row[0].replace(tzinfo=UTC), count, int(row[1]))

    def _begin(self, round_id: str, version: str, as_of: datetime, clients: int, begun: datetime) -> bool:
        values = {"round_id": round_id, "model_version": version, "as_of": as_of, "started_at": begun, "clients": clients}
        make = postgresql_insert if self._engine.dialect.name == "postgresql" else sqlite_insert
        anew = {"started_at": begun, "alive_at": None}
        fresh = make(_ROUNDS).values(values).on_conflict_do_update(index_elements=["round_id"], set_=anew, where=_abandoned())
        with self._engine.begin() as connection:
            # Asked for what was written: how many rows an INSERT wrote is not known on PostgreSQL.
            ours = connection.execute(fresh.returning(_ROUNDS.c.round_id)).first() is not None
            if ours:
                connection.execute(delete(_ROWS).where(_ROWS.c.round_id == round_id))
        return ours

    def _feature_rows(self) -> Iterator[tuple[list[str], pd.DataFrame]]:
        wanted = select(_ONLINE.c.client_code, _ONLINE.c["values"]).where(_ONLINE.c.feature_set == "income")
        after = ""
        while True:
            some = wanted.where(_ONLINE.c.client_code > after).order_by(_ONLINE.c.client_code).limit(_BATCH)
            with self._reader.connect() as connection:
                rows = connection.execute(some).all()
            if not rows:
                return
            after = rows[-1][0]
            yield [code for code, _ in rows], pd.DataFrame.from_records([orjson.loads(values) for _, values in rows])

    def _forget_others(self, round_id: str) -> None:
        stale = (_ROUNDS.c.round_id != round_id) & (_ROUNDS.c.finished_at.is_not(None) | _abandoned())
        with self._reader.connect() as connection:
            others = connection.execute(select(_ROUNDS.c.round_id).where(stale)).scalars().all()
        for other in others:
            with self._engine.begin() as connection:
                connection.execute(delete(_ROUNDS).where(_ROUNDS.c.round_id == other))
                connection.execute(delete(_ROWS).where(_ROWS.c.round_id == other))


def _abandoned() -> ColumnElement[bool]:
    last_sign = func.coalesce(_ROUNDS.c.alive_at, _ROUNDS.c.started_at)
    return _ROUNDS.c.finished_at.is_(None) & (last_sign < now() - _GIVEN_UP)


def _predicted(round_id: str, codes: list[str], model: LoadedModel, frame: pd.DataFrame) -> list[dict[str, object]]:
    """The rows of these clients in a round."""
    income = np.round(model.scorer.predict(frame)["income"], 2)
    low, high = model.scorer.interval("income", frame)
    figures = zip(codes, income.tolist(), np.maximum(0, low).round(2).tolist(), high.round(2).tolist(), strict=True)
    return [dict(zip(("client_code", "income", "low", "high"), one, strict=True), round_id=round_id) for one in figures]
