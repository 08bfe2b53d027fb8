"""A fraud model whose probabilities are known to be right or wrong, and its scores with their labels."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from sqlalchemy import Engine

from monitoring.estimation import Estimated, NotEstimable
from monitoring.journal import Journal, JournalRow
from monitoring.labels import Label
from monitoring.quality import estimated, scores_of
from registry.encoding import ModelColumn
from registry.loading import LoadedModel
from registry.outputs import Output
from registry.scorer import Scorer
from settings import Settings

NOW = datetime(2026, 6, 30, tzinfo=UTC)
MONTH = timedelta(days=30)
CONFIG = Settings(label_maturity_days={"fraud": 30.0, "prescoring": 120.0})


def drawn(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A feature, the probability it gives, and what happened."""
    rng = np.random.default_rng(seed)
    feature = rng.normal(0, 1, rows)
    probability = 1 / (1 + np.exp(1.5 - 1.3 * feature))
    return feature, probability, (rng.random(rows) < probability).astype(float)


def scorer(power: float = 1.0, labelled: bool = True) -> Scorer:
    """A version whose stored reference states `power`-th powers of the true probabilities."""
    feature, probability, label = drawn(2000, 1)
    reference = pd.DataFrame({"x": feature, "prediction_fraud": probability**power})
    if labelled:
        reference["label_fraud"] = label
    return Scorer((ModelColumn("x"),), (Output("fraud", "logit", ()),), {}, {}, {}, reference)


def journalled(
    engine: Engine,
    since: datetime,
    seed: int,
    power: float = 1.0,
    rows: int = 500,
    clients: int | None = None,
    moments: int | None = None,
) -> list[Label]:
    """Scores of the 29 days from `since`, of so many `clients` in turn, None = of nobody; gives their labels.

    They come one by one, or together at so many `moments`.
    """
    times = moments or rows
    feature, probability, label = drawn(rows, seed)
    scores = [
        JournalRow(
            use_case="fraud",
            source="api",
            features={"x": float(x)},
            score={"fraud": float(p**power)},
            decision={"fraud": "high" if p > 0.8 else "low"},
            model_version="3",
            latency_ms=1.0,
            client_id=None if clients is None else str(index % clients),
            ts=since + timedelta(days=29) * (index * times // rows / times),
        )
        for index, (x, p) in enumerate(zip(feature, probability, strict=True))
    ]
    with Journal(engine) as journal:
        journal.write(scores)
    return [Label(float(y), row.score_id, labelled_at=row.ts + MONTH) for y, row in zip(label, scores, strict=True)]


def expected(engine: Engine, version: Scorer, config: Settings = CONFIG) -> Estimated | NotEstimable:
    """The estimate of the newest month, for a version that is known as the third."""
    scores = scores_of(engine, "fraud", "3", NOW - MONTH, NOW, 1)
    return estimated(engine, "fraud", "3", scores, NOW, version, config)


def model() -> LoadedModel:
    """That version as a service has it."""
    return LoadedModel("fraud", "3", scorer(), "", NOW, "memory")
