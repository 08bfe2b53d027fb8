"""Scores of one request by column, which the journal takes much quicker than row by row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, overload

import numpy as np
import orjson

from clock import now
from features.layouts import Layout
from monitoring.rows import OK, JournalRow, Record, storable


@dataclass(frozen=True, eq=False)
class JournalBatch(Sequence[JournalRow]):
    """The scores of one request over numeric features: one row of the journal each, as a whole much quicker than one by one.

    As a sequence it gives the same rows as `JournalRow`s.

    Attributes:
        layout: names of the features.
        features: values as the model saw them, float64, shape (scores, names); NaN = missing.
        output: name of what was predicted.
        scores, decisions, client_ids: one for each row; for the rest see `JournalRow`.
        score_ids: from `identifiers.new_ids`: where it is quicker nobody looks whether they are there already.
    """

    use_case: str
    source: str
    layout: Layout
    features: np.ndarray
    output: str
    scores: Sequence[float]
    decisions: Sequence[str]
    client_ids: Sequence[str | None]
    score_ids: Sequence[str]
    model_version: str
    latency_ms: float
    ts: datetime = field(default_factory=now)

    def __len__(self) -> int:
        return len(self.score_ids)

    @overload
    def __getitem__(self, index: int) -> JournalRow: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[JournalRow]: ...
    def __getitem__(self, index: int | slice) -> JournalRow | Sequence[JournalRow]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        return JournalRow(
            use_case=self.use_case,
            source=self.source,
            features=dict(zip(self.layout.names, self.features[index].tolist(), strict=True)),
            score={self.output: self.scores[index]},
            model_version=self.model_version,
            latency_ms=self.latency_ms,
            decision={self.output: self.decisions[index]},
            client_id=self.client_ids[index],
            score_id=self.score_ids[index],
            ts=self.ts,
        )

    def records(self) -> list[Record]:
        """The rows as the database takes them.

        Raises:
            UnfitRow: a client's id cannot be stored.
        """
        score, decision = f'{{"{self.output}":', f'{{"{self.output}":"'
        shared = self.use_case, self.source, self.model_version, float(self.latency_ms), self.ts
        use_case, source, version, latency, ts = shared
        rows = zip(self.score_ids, self.client_ids, _texts_of(self), self.scores, self.decisions, strict=True)
        return [
            (
                *(score_id, ts, use_case, storable("client_id", client), source, False, features),
                *(f"{score}{value!r}}}", f'{decision}{level}"}}', version, latency, OK, None),
            )
            for score_id, client, features, value, level in rows
        ]


def _texts_of(batch: JournalBatch) -> list[str]:
    """`["<layout>",1.0,null,…]` for every row: one call for all numbers, then cut between the rows."""
    if not len(batch.features):
        return []
    text = orjson.dumps(np.ascontiguousarray(batch.features), option=orjson.OPT_SERIALIZE_NUMPY).decode()
    opening = f'["{batch.layout.layout}",'
    return [f"{opening}{values}]" for values in text[2:-2].split("],[")]


def features_of(text: str, layouts: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The features of a row by name; `layouts` has the names of every layout in use."""
    stored = orjson.loads(text)
    return stored if isinstance(stored, dict) else dict(zip(layouts[stored[0]], stored[1:], strict=True))
