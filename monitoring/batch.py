"""Batch scores as journal rows."""

import time
from collections.abc import Hashable

import pandas as pd

from monitoring.rows import JournalRow
from registry.loading import LoadedModel


def batch_rows(model: LoadedModel, frame: pd.DataFrame) -> list[JournalRow]:
    """Score feature rows and lay them out for the journal, in the order of the frame.

    `client_code`, where the frame has it, becomes the client of the row; nothing is decided in a batch, so decision stays empty.
    """
    started = time.perf_counter()
    predictions = model.scorer.predict(frame)
    each = (time.perf_counter() - started) * 1000 / max(len(frame), 1)
    features = frame[[name for name in model.scorer.columns if name in frame.columns]].to_dict("records")
    clients = frame["client_code"].astype(str).tolist() if "client_code" in frame.columns else [None] * len(frame)
    return [
        JournalRow(
            use_case=model.use_case,
            source="batch",
            features=_missing_as_none(values),
            score={output: float(scores[index]) for output, scores in predictions.items()},
            model_version=model.version,
            latency_ms=each,
            client_id=client,
        )
        for index, (values, client) in enumerate(zip(features, clients, strict=True))
    ]


def _missing_as_none(values: dict[Hashable, object]) -> dict[str, object]:
    return {str(name): None if pd.isna(value) else value for name, value in values.items()}  # type: ignore[call-overload]
