"""The endpoints of the recommendation service that concern all clients at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from bentos.recommendation.answers import Health, Ingested, ProcessAnswer, PushNotification, PushRequest, Statistics
from bentos.recommendation.desk import Desk
from bentos.recommendation.export import csv_lines
from bentos.serving.uploads import multipart_file, receive_table
from edge.errors import described
from settings import Settings

_FILE = multipart_file("CSV (any dialect of the bank) or Parquet.")
_NOT_YET = described({409: "something has to be done before; the message says what"})
_NO_CLIENT = described({404: "no such client", 409: "POST /process first"})
_PUSHES: dict[int | str, dict[str, Any]] = {200: {"model": list[PushNotification], "description": "The texts by client."}}
_CSV: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "client_code,product,push_notification",
        "content": {"text/csv": {"schema": {"type": "string"}}},
    }
}


def add_batch_routes(app: FastAPI, desk: Desk, config: Settings) -> None:
    """Add uploads, /process, /push-notifications, /export/csv, /stats and /health to `app`."""
    _add_uploads(app, desk, config)

    @app.post("/process", tags=["batch"], responses=_NOT_YET)
    def process() -> ProcessAnswer:
        """Compute the recommendations of all clients from the last three months of data, and put them in force at once."""
        return desk.process()

    @app.post("/push-notifications", tags=["batch"], responses=_NO_CLIENT | _PUSHES, response_model=None)
    def push_notifications(request: PushRequest | None = None) -> StreamingResponse:
        """Write and store one push text per client, for its best recommendation.

        A client for whom no recommendation is worth a message, or no text keeps every rule, gets none.
        """
        pushes = desk.write_pushes(None if request is None else request.client_codes)
        return StreamingResponse(_json_list(pushes), media_type="application/json")

    @app.get("/export/csv", tags=["batch"], responses=_NOT_YET | _CSV, response_class=StreamingResponse)
    def export() -> StreamingResponse:
        """The stored push texts: client_code,product,push_notification. No cell begins like a formula."""
        disposition = {"Content-Disposition": 'attachment; filename="push_notifications.csv"'}
        return StreamingResponse(csv_lines(desk.stored_pushes()), media_type="text/csv; charset=utf-8", headers=disposition)

    @app.get("/stats", tags=["batch"])
    def stats() -> Statistics:
        """How much data there is, and what is recommended."""
        return desk.statistics()

    @app.get("/health", tags=["service"])
    def health() -> Health:
        """The process answers; `/readyz` says whether it can score."""
        return Health(status="ok")


def _add_uploads(app: FastAPI, desk: Desk, config: Settings) -> None:
    async def ingest(table: str, request: Request) -> Ingested:
        path = await receive_table(request, config.var / "uploads")
        return await run_in_threadpool(desk.ingest, table, path)

    @app.post("/upload/clients", tags=["upload"], openapi_extra=_FILE)
    async def upload_clients(request: Request) -> Ingested:
        """Add clients; every row is checked, a file is ingested once."""
        return await ingest("clients", request)

    @app.post("/upload/transactions", tags=["upload"], openapi_extra=_FILE)
    async def upload_transactions(request: Request) -> Ingested:
        """Add card purchases; every row is checked, a file is ingested once."""
        return await ingest("transactions", request)

    @app.post("/upload/transfers", tags=["upload"], openapi_extra=_FILE)
    async def upload_transfers(request: Request) -> Ingested:
        """Add transfers; every row is checked, a file is ingested once."""
        return await ingest("transfers", request)


def _json_list(pages: Iterator[list[PushNotification]]) -> Iterator[bytes]:
    """A JSON array, page by page, so that a hundred thousand texts are never in memory at once."""
    before = b"["
    for page in pages:
        if page:
            yield before + b",\n".join(orjson.dumps(push.model_dump()) for push in page)
            before = b",\n"
    yield b"[]" if before == b"[" else b"]"
