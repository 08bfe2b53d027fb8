"""Imports: an uploaded file, the bank's own folder, or a demo bank; each is a run of a flow, and its id is the run's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import FastAPI, Request
from fastapi import Path as PathParameter
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from bentos.serving.application import REFUSALS, ErrorAnswer
from bentos.serving.bodies import Body
from bentos.serving.flow_runs import FlowRuns
from bentos.serving.uploads import forget_uploads, multipart_file, receive_table
from bentos.serving.whole import WHOLE
from edge.errors import RequestRefused
from features.code_lists import TableName
from settings import Settings

UPLOAD_PATH = "/api/imports/income-csv"
Status = Literal["queued", "running", "completed", "failed", "cancelled"]
_STATUSES: Mapping[str, Status] = {
    "SCHEDULED": "queued",
    "PENDING": "queued",
    "PAUSED": "queued",
    "RUNNING": "running",
    "CANCELLING": "running",
    "COMPLETED": "completed",
    "CANCELLED": "cancelled",
    "FAILED": "failed",
    "CRASHED": "failed",
}
_UNKNOWN: dict[int | str, dict[str, Any]] = REFUSALS | {404: {"model": ErrorAnswer, "description": "no such import"}}
_NOTHING_THERE: dict[int | str, dict[str, Any]] = REFUSALS | {
    409: {"model": ErrorAnswer, "description": "the bank's folder holds no files of this table"}
}
_UPLOAD_REFUSALS: dict[int | str, dict[str, Any]] = REFUSALS | {
    415: {"model": ErrorAnswer, "description": "not multipart, or the file is an archive or otherwise no table"}
}
_UPLOAD_BODY = multipart_file("CSV (any dialect of the bank) or Parquet with client_code, month, income (tenge), w.")


class Import(BaseModel):
    """How far an import is."""

    id: UUID = Field(description="Of the import, and of the Prefect flow run that does it.")
    status: Status = Field(description="How far it is: waiting, running, completed or failed.")
    total_rows: int | None = Field(description="Rows of the files; null until they are read.")
    processed_rows: int = Field(description="Rows checked so far: those that landed and those put into quarantine.")
    quarantined_rows: int = Field(description="Rows that break a rule of the table; see the run's artifact.")
    message: str | None = Field(description="What the flow says about its state, for example why a file was refused.")
    started_at: str | None = Field(description="When the run began, UTC.")
    finished_at: str | None = Field(description="When the run ended, UTC.")


class ImportRequest(Body):
    """Which raw table to import from the bank's own folder, `var/raw/<table>` on the server."""

    table: TableName = Field(description="The raw table.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"table": "verified_incomes"}]})


class SeedRequest(Body):
    """How large a demo bank to fill, and how long to search for its models."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"clients": 5000, "trials": 8, "seconds": 10}]})

    clients: Annotated[int, Field(ge=200, le=1_000_000, description="Clients of the simulated bank."), WHOLE] = 5000
    trials: Annotated[int, Field(ge=1, le=1000, description="Most configurations to try per model."), WHOLE] = 8
    seconds: Annotated[float, Field(ge=1, le=86_400, description="Longest search per model, in seconds.")] = 10.0


class Imports:
    """Starts flows and reports on them."""

    def __init__(self, config: Settings, runs: FlowRuns) -> None:
        self._config = config
        self._runs = runs
        self.uploads = config.var / "uploads"

    def start(self, table: str, path: Path) -> Import:
        """Ingest the file or folder at `path`."""
        return _import(self._runs.start("ingest", {"table": table, "path": str(path.resolve())}), [])

    def start_folder(self, table: str) -> Import:
        """Ingest what lies in the bank's folder of a table.

        Raises:
            RequestRefused: 409, there is nothing.
        """
        folder = self._config.var / "raw" / table
        if not any(folder.glob("*.csv")) and not any(folder.glob("*.parquet")):
            message = f"var/raw/{table} holds no CSV or Parquet files: put the part files there first"
            raise RequestRefused(409, "nothing_to_import", message, "table")
        return self.start(table, folder)

    def seed(self, request: SeedRequest) -> Import:
        """Run the main job, which fills a demo bank where there are no tables yet."""
        return _import(self._runs.start("pipeline", request.model_dump()), [])

    def progress(self, run_id: UUID) -> Import:
        """How far an import is.

        Raises:
            RequestRefused: 404, no such import.
        """
        run = self._runs.find(str(run_id), ("ingest", "pipeline"))
        if run is None:
            message = "there is no import with this id: take the one that the start of the import gave"
            raise RequestRefused(404, "unknown_import", message, "id")
        return _import(run, self._runs.tables(str(run_id)))


def add_imports(app: FastAPI, imports: Imports, config: Settings) -> None:
    """Add the endpoints of imports to `app`."""

    @app.post(UPLOAD_PATH, tags=["imports"], status_code=202, responses=_UPLOAD_REFUSALS, openapi_extra=_UPLOAD_BODY)
    async def import_incomes(request: Request) -> Import:
        """Upload verified incomes; the file is checked and lands in the lake while you ask for its progress."""
        path = await receive_table(request, imports.uploads)
        return await run_in_threadpool(_begin, imports, path, config.upload_retention_days)

    @app.get("/api/imports/{id:uuid}", tags=["imports"], responses=_UNKNOWN)
    @app.get("/api/admin/import/{id:uuid}", tags=["imports"], responses=_UNKNOWN)
    def progress(id: Annotated[UUID, PathParameter(description="Of the import, as its start gave it.")]) -> Import:
        """How far an import or a demo bank is."""
        return imports.progress(id)

    @app.post("/api/admin/import/start", tags=["imports"], status_code=202, responses=_NOTHING_THERE)
    def start(request: ImportRequest) -> Import:
        """Import a raw table from the bank's own folder on the server."""
        return imports.start_folder(request.table)

    @app.post("/api/admin/seed/start", tags=["imports"], status_code=202)
    def seed(request: SeedRequest | None = None) -> Import:
        """Fill a demo bank and train its models, where there are no tables yet; otherwise run the main job over what is there."""
        return imports.seed(request or SeedRequest())


def _begin(imports: Imports, path: Path, retention_days: float) -> Import:
    forget_uploads(imports.uploads, retention_days)
    try:
        return imports.start("verified_incomes", path)
    except BaseException:
        path.unlink(missing_ok=True)  # nobody will ever read it
        raise


def _import(run: Mapping[str, Any], artifacts: list[dict[str, Any]]) -> Import:
    read, landed = _counts(artifacts)
    state = run.get("state") or {}
    return Import(
        id=run["id"],
        status=_STATUSES[run.get("state_type") or "SCHEDULED"],
        total_rows=read,
        processed_rows=read or 0,
        quarantined_rows=0 if read is None else read - landed,
        message=state.get("message"),
        started_at=run.get("start_time"),
        finished_at=run.get("end_time"),
    )


def _counts(artifacts: list[dict[str, Any]]) -> tuple[int | None, int]:
    """Rows read (None = no file was read yet) and landed, from the table that the ingest flow leaves."""
    rows = [row for artifact in artifacts[:1] for row in orjson.loads(artifact["data"])]
    read = [row["rows"] for row in rows if row["what"] == "read"]
    landed = sum(row["rows"] for row in rows if row["what"] in ("ingested", "already ingested"))
    return (sum(read), landed) if read else (None, 0)
