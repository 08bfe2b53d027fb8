"""What the journal holds and how it lies in the database: one row per score, and the labels that come later."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import orjson
import pandas as pd
from sqlalchemy import Boolean, Column, Engine, Float, Index, Integer, MetaData, Table, Text

from clock import now
from database import UtcTime, open_database, unsampled
from database import create_tables as create_tables_of
from identifiers import new_ids
from settings import Settings

OK = "ok"
Record = tuple[Any, ...]
"""A row as the database takes it, in the order of `JOURNAL`'s columns."""


class UnfitRow(ValueError):
    """A row that cannot be kept as it is; the message names the field and what it takes."""


SCHEMA = MetaData()
JOURNAL = Table(
    "journal",
    SCHEMA,
    Column("score_id", Text, primary_key=True),
    Column("ts", UtcTime, nullable=False),
    Column("use_case", Text, nullable=False),
    Column("client_id", Text),
    Column("source", Text, nullable=False),
    Column("is_simulation", Boolean, nullable=False),
    Column("features", Text, nullable=False),  # JSON: {name: value, …}, or [layout, value, …]
    Column("score", Text),
    Column("decision", Text),
    Column("model_version", Text),
    Column("latency_ms", Float, nullable=False),
    Column("status", Text, nullable=False),
    Column("error", Text),
    Index("journal_use_case_ts", "use_case", "ts"),
)
LAYOUTS = Table(
    "journal_layouts",
    SCHEMA,
    Column("layout", Text, primary_key=True),
    Column("names", Text, nullable=False),  # JSON: [name, …], in the order of the values
)
LABELS = Table(
    "journal_labels",
    SCHEMA,
    Column("score_id", Text, primary_key=True),
    Column("output", Text, primary_key=True),
    Column("label", Float, nullable=False),
    Column("labelled_at", UtcTime, nullable=False),
    Column("source", Text, nullable=False),
)
LABELS_ASIDE = Table(
    "journal_labels_aside",  # what could not be joined: nothing is lost, and a person can look why
    SCHEMA,
    Column("id", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("score_id", Text),
    Column("transaction_id", Text),
    Column("client_id", Text),
    Column("month", Text),
    Column("output", Text),
    Column("label", Float),
    Column("labelled_at", UtcTime, nullable=False),
    Column("source", Text, nullable=False),
)
ESTIMATES = Table(
    "quality_estimates",
    SCHEMA,
    Column("use_case", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("since", UtcTime, primary_key=True),
    Column("until", UtcTime, primary_key=True),
    Column("metric", Text, nullable=False),
    Column("value", Float),  # this and the bounds are null where it was not estimable; `reason` then says why
    Column("low", Float),
    Column("high", Float),
    Column("rows", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("made_at", UtcTime, nullable=False),
    Column("realised", Float),
    Column("realised_rows", Integer),
    Column("realised_at", UtcTime),
)
SURGES = Table(
    "journal_surges",
    SCHEMA,
    Column("use_case", Text, primary_key=True),
    Column("at", UtcTime, primary_key=True),
    Column("feature", Text, primary_key=True),
    Column("sentence", Text, nullable=False),
)
unsampled(JOURNAL, "client_id", "features")
unsampled(LABELS_ASIDE, "client_id")
_TEXTS = ("score_id", "use_case", "client_id", "source", "model_version", "status", "error")
_NAMES = tuple(column.name for column in JOURNAL.c)


def open_journal(config: Settings) -> Engine:
    """Open the journal's database with its tables, which are there for all that is done with it afterwards."""
    engine = open_database(config.database("journal"))
    create_tables(engine)
    return engine


def create_tables(engine: Engine) -> None:
    """Make the tables of `SCHEMA` that are absent; safe when several processes begin at once."""
    create_tables_of(engine, SCHEMA)


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One score as it was given, or one that failed.

    Attributes:
        use_case: income, prescoring, recommendation or fraud.
        source: who asked, e.g. "api", "card", "batch".
        features: name → value as the model saw them; NaN, None and NA all mean missing.
        score: output → prediction, always a mapping: {"fraud": 0.01}, {"bank_a": 0.7, "bank_b": …}; None when scoring failed.
        decision: output → what was decided on it: {"fraud": "high"}, {"bank_a": "approve", …}; None where nothing is decided.
        model_version: registry version that computed the score; None when none was loaded.
        latency_ms: from the request's arrival to the score, in milliseconds.
        client_id: the caller's id of the client, if one was given.
        is_simulation: a what-if question, not an event in the life of a client; left out of drift and quality.
        status: "ok", or a word for what went wrong; then `error` says it in a sentence without identifiers.
    """

    use_case: str
    source: str
    features: Mapping[str, Any]
    score: Mapping[str, float] | None
    model_version: str | None
    latency_ms: float
    decision: Mapping[str, str] | None = None
    client_id: str | None = None
    is_simulation: bool = False
    status: str = OK
    error: str | None = None
    score_id: str = field(default_factory=lambda: new_ids(1)[0])
    ts: datetime = field(default_factory=now)

    def columns(self) -> dict[str, Any]:
        """The row as the database takes it.

        Raises:
            UnfitRow: a text cannot be stored, a value is no JSON, or `ts` has no time zone.
        """
        if self.ts.tzinfo is None:
            raise UnfitRow("ts has no time zone: take it from clock.now()")
        texts = {name: storable(name, getattr(self, name)) for name in _TEXTS}
        return {
            **texts,
            "ts": self.ts,
            "is_simulation": self.is_simulation,
            "features": _json("features", self.features),
            "score": None if self.score is None else _json("score", self.score),
            "decision": None if self.decision is None else _json("decision", self.decision),
            "latency_ms": float(self.latency_ms),
        }

    def record(self) -> Record:
        """`columns` in the order of the table."""
        columns = self.columns()
        return tuple(columns[name] for name in _NAMES)


def storable(name: str, text: str | None) -> str | None:
    """The text of a field, when every database can store it.

    Raises:
        UnfitRow: it cannot be stored.
    """
    if text is None or (text.isascii() and "\x00" not in text):
        return text
    if "\x00" in text or not _is_utf8(text):
        raise UnfitRow(f"{name} holds characters that no database stores (NUL or half a surrogate pair): refuse it at the edge")
    return text


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _json(name: str, values: Mapping[str, Any]) -> str:
    try:
        return orjson.dumps(values, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    except TypeError as error:
        raise UnfitRow(f"{name} is not a mapping of names to numbers, texts, times or nothing: {error}") from None


def _plain(value: object) -> object:
    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, date):  # pandas.Timestamp among them
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")
