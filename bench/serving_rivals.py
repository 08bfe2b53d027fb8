"""What the fraud service is measured against, each served by uvicorn: `uvicorn bench.serving_rivals:<name>`.

The models lie in the folder that the environment variable `BENCH_MODELS` names (see `bench.serving_models`).
"""

import os
import sqlite3
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from bench.serving_models import LIGHTGBM, NAMES, XGBOOST

PATH = "/api/v1/score_transaction"
MODELS = Path(os.environ.get("BENCH_MODELS", "."))


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """(a) The least that uvicorn can do: the body back."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Payment(BaseModel):
    """A payment as the contract has it; the names of the behaviour features are those of the model."""

    model_config = {"extra": "allow"}

    client_id: str | None = None
    amount: float


plain = FastAPI()
"""(b) Plain FastAPI with a LightGBM Booster and no log, as its documentation has functions that compute: `def`."""

bare = FastAPI()
"""The same as `async def`: the event loop computes, and nothing is awaited, looked up or kept."""


@plain.post(PATH)
def score_plain(payment: Payment) -> dict[str, Any]:
    return _judged(payment)


@bare.post(PATH)
async def score_bare(payment: Payment) -> dict[str, Any]:
    return _judged(payment)


def _judged(payment: Payment) -> dict[str, Any]:
    given = payment.model_dump()
    row = np.array([[given.get(name, np.nan) for name in NAMES]], dtype=np.float32)
    probability = float(_lightgbm().predict(row, num_threads=1)[0])
    return {"fraud_probability": probability, "risk_level": _level(probability), "model_version": "1", "score_id": "0"}


prototype = FastAPI()
"""(c) The usual prototype: joblib XGBoost on a DataFrame, an insert and a commit for each request."""


@prototype.post(PATH)
def score_prototype(payment: Payment) -> dict[str, Any]:
    import pandas as pd

    given = payment.model_dump()
    frame = pd.DataFrame([{name: given.get(name, np.nan) for name in NAMES}]).astype(float)
    probability = float(_xgboost().predict_proba(frame)[0, 1])
    with sqlite3.connect(MODELS / "prototype.db") as log:
        log.execute(
            "CREATE TABLE IF NOT EXISTS scoring_logs (ts TEXT, client_id TEXT, amount REAL, probability REAL, level TEXT)"
        )
        values = (given["client_id"], given["amount"], probability, _level(probability))
        log.execute("INSERT INTO scoring_logs VALUES (datetime('now'), ?, ?, ?, ?)", values)
    log.close()
    return {"fraud_probability": probability, "risk_level": _level(probability), "model_version": "1", "score_id": "0"}


@cache
def _lightgbm() -> Any:
    import lightgbm

    return lightgbm.Booster(model_file=MODELS / LIGHTGBM)


@cache
def _xgboost() -> Any:
    import joblib

    return joblib.load(MODELS / XGBOOST)


def _level(probability: float) -> str:
    return "high" if probability >= 0.8 else "medium" if probability >= 0.26 else "low"
