"""Labels over HTTP: what became of scores, told to whichever service gave them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from fastapi import FastAPI
from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field, StringConstraints, model_validator
from sqlalchemy.exc import SQLAlchemyError

from bentos.serving.backend import Backend
from bentos.serving.bodies import Body, ClientCode
from clock import now
from edge.errors import RequestRefused
from monitoring.labels import Label, LabelsOutcome, record_labels

MOST = 5000
_Name = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[!-~]+$")]
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


def _dated(value: object) -> object:
    """Refuse numbers, which would be taken for seconds since 1970."""
    if isinstance(value, datetime) or (isinstance(value, str) and _RFC_3339.fullmatch(value)):
        return value
    raise ValueError("has to be a moment with its time zone, such as 2026-06-01T00:00:00Z")


_Moment = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_dated)]


class LabelBody(Body):
    """What happened after one score, or after all income scores of a client in a month."""

    label: float = Field(description="0 or 1; for income tenge a month.", examples=[1])
    score_id: _Name | None = Field(None, description="From the answer with the score.", examples=["019e0c2d1f0b7c8f9a"])
    client_id: ClientCode | None = Field(None, description="With month, for incomes without score_id.", examples=["12345"])
    month: str | None = Field(
        None, pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", description="Calendar month, UTC.", examples=["2026-05"]
    )
    output: _Name | None = Field(None, description="Which prediction, where a score has several.", examples=["bank_a"])
    labelled_at: _Moment | None = Field(
        None, description="When it became known; now, if not given.", examples=["2026-06-01T00:00:00Z"]
    )

    @model_validator(mode="after")
    def names_a_score(self) -> LabelBody:
        """Refuse a label that belongs to nothing."""
        if self.score_id is None and (self.client_id is None or self.month is None):
            raise ValueError("give score_id, or client_id and month")
        if self.labelled_at is not None and not _EARLIEST <= self.labelled_at < _EARLIEST.replace(year=9000):
            raise ValueError("labelled_at is no date of this age")
        return self


class LabelsBody(Body):
    """Labels that are recorded together."""

    labels: list[LabelBody] = Field(
        min_length=1,
        max_length=MOST,
        description="What happened; whatever cannot be joined is counted, and does not hold up the others.",
        examples=[[{"score_id": "019e0c2d1f0b7c8f9a", "label": 1}]],
    )


class LabelsAnswer(BaseModel):
    """How many labels came to what; nothing is lost, and sending them again is harmless."""

    joined: int = Field(description="Scores that have this label now.")
    unknown: int = Field(description="Labels of no score that was given out; kept aside, send them again when it is there.")
    duplicates: int = Field(description="Scores that had this label already.")
    conflicting: int = Field(description="Scores that had another label, which stays; kept aside.")
    invalid: int = Field(description="Labels that are neither 0 nor 1 (an income below 0), or name no output of the score.")
    early: int = Field(description="Among the joined, labels older than their score: a clock is wrong.")


def add_labels(app: FastAPI, backend: Backend) -> None:
    """Add `POST /api/labels` to the application of a service."""

    @app.post("/api/labels", tags=["monitoring"])
    def labels(request: LabelsBody) -> LabelsAnswer:
        """Tell what became of scores; durable when answered."""
        at = now()
        given = [Label(**(vars(one) | {"labelled_at": one.labelled_at or at})) for one in request.labels]
        return LabelsAnswer(**vars(_recorded(backend, given)))


def _recorded(backend: Backend, labels: list[Label]) -> LabelsOutcome:
    try:
        return record_labels(backend.journal_database, labels)
    except SQLAlchemyError as error:
        message = "the journal's database does not take labels at the moment: send them again, what was kept is not kept twice"
        raise RequestRefused(503, "journal_unavailable", message, headers={"Retry-After": "1"}) from error
