"""The fraud service: how risky is this payment, and what to do about it."""

from __future__ import annotations

import os
import time

import anyio
import bentoml
import orjson
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from bentos.fraud.arrow import read_arrow, write_arrow
from bentos.fraud.documentation import ANSWERS, batch_body, payment_body
from bentos.fraud.formats import (
    ARROW,
    JSON,
    JSON_LINES,
    BatchFormat,
    read_json,
    read_lines,
    read_payment,
    write_json,
    write_lines,
)
from bentos.fraud.reasons import explanation
from bentos.fraud.requests import BatchScoringResponse, TransactionExplanationResponse, TransactionScoringResponse
from bentos.fraud.scoring import FraudDesk, check_thresholds
from bentos.serving.application import guarded, scoring_app, service_options
from bentos.serving.backend import Backend
from bentos.serving.direct import add_direct
from bentos.serving.entrance import entrance
from bentos.serving.served import Served
from edge.errors import RequestRefused
from edge.lane import Endpoint
from settings import settings

SCORE, BATCH, EXPLAIN = "/api/v1/score_transaction", "/api/v1/score_batch", "/api/v1/explain_transaction"
FORMATS = {
    one.media_type: one
    for one in (
        BatchFormat(JSON, read_json, write_json),
        BatchFormat(JSON_LINES, read_lines, write_lines),
        BatchFormat(ARROW, read_arrow, write_arrow),
    )
}


def fraud_app(backend: Backend) -> FastAPI:
    """The application of the fraud service over a backend."""
    check_thresholds(backend.config)
    desk = FraudDesk(backend)
    app = scoring_app("Opora: fraud", "The risk of a payment before it leaves the bank.", backend)
    score = _scoring(backend, desk)
    _add_scoring(app, score)
    _add_batch(app, desk, backend.config.batch_items)
    _add_explanation(app, desk)
    add_direct(app, (SCORE, BATCH, EXPLAIN))
    app.state.quick[SCORE] = score
    return app


def _scoring(backend: Backend, desk: FraudDesk) -> Endpoint:
    async def score(body: bytes) -> bytes:
        started = time.perf_counter()
        payment = read_payment(body)
        known = (
            desk.known(payment.client_id) if backend.online.immediate else await run_in_threadpool(desk.known, payment.client_id)
        )
        judged = desk.judge(payment, known, started)
        await backend.keep_async(judged.batch)
        return orjson.dumps(judged.answers()[0])

    return score


def _add_scoring(app: FastAPI, score: Endpoint) -> None:
    @app.post(SCORE, tags=["fraud"], response_model=TransactionScoringResponse, openapi_extra=payment_body())
    async def score_transaction(request: Request) -> Response:
        """Probability of fraud and what to do with the payment."""
        return Response(await score(await _json(request)), media_type=JSON)


def _add_batch(app: FastAPI, desk: FraudDesk, most: int) -> None:
    at_once = anyio.CapacityLimiter(2 + (os.cpu_count() or 1))  # scoring leaves the interpreter free, reading and writing do not

    @app.post(BATCH, tags=["fraud"], response_model=BatchScoringResponse, responses=ANSWERS, openapi_extra=batch_body(most))
    async def score_batch(request: Request) -> Response:
        """The same for many payments at once, answered in their order and in the format they came in.

        One bad item refuses the whole batch and is named.
        """
        started = time.perf_counter()
        kind = _media_type(request)
        if kind not in FORMATS:
            raise _unread(f"send {', '.join(FORMATS)}")
        body = await request.body()

        def scored() -> bytes:
            judged = desk.score_all(FORMATS[kind].read(body, most), started)
            return FORMATS[kind].write(judged.answers())

        return Response(await anyio.to_thread.run_sync(scored, limiter=at_once), media_type=kind)


def _add_explanation(app: FastAPI, desk: FraudDesk) -> None:
    @app.post(EXPLAIN, tags=["fraud"], response_model=TransactionExplanationResponse, openapi_extra=payment_body())
    async def explain_transaction(request: Request) -> Response:
        """The same as score_transaction, with the factors that weighed most."""
        payment = read_payment(await _json(request))

        def explained() -> bytes:
            judged = desk.score(payment)
            return orjson.dumps(judged.answers()[0] | explanation(judged.prepared.model.scorer, judged.batch[0]))

        return Response(await run_in_threadpool(explained), media_type=JSON)


async def _json(request: Request) -> bytes:
    kind = _media_type(request)
    if kind != JSON and not kind.endswith("+json"):
        raise _unread(f"send {JSON}")
    return await request.body()


def _media_type(request: Request) -> str:
    given: bytes = next((value for name, value in request.scope["headers"] if name == b"content-type"), b"")
    return given.split(b";", 1)[0].strip().lower().decode("latin-1")


def _unread(expected: str) -> RequestRefused:
    return RequestRefused(415, "unsupported_media_type", f"this format of the body is not read here: {expected} as Content-Type")


BACKEND = Backend("fraud", settings())
APP = guarded(fraud_app(BACKEND), settings())


@entrance(APP, "fraud", settings())
@bentoml.service(**service_options(settings(), 3004))
class FraudService(Served):
    """The fraud application under BentoML."""

    backend = BACKEND
