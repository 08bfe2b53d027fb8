"""The prescoring service: one form in, the likely decision of every partner bank out."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import bentoml
from fastapi import FastAPI, Query
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field

from bentos.prescoring.decision import PrescoringResult
from bentos.prescoring.form import ApplicationForm
from bentos.prescoring.tasks import Prescoring
from bentos.prescoring.worker import QueueWorker
from bentos.serving.application import REFUSALS, ErrorAnswer, guarded, scoring_app, service_options
from bentos.serving.backend import Backend
from bentos.serving.entrance import entrance
from bentos.serving.served import Served
from settings import settings

_STATE_REFUSALS: dict[int | str, dict[str, Any]] = REFUSALS | {404: {"model": ErrorAnswer, "description": "no such task"}}
_RESULT_REFUSALS: dict[int | str, dict[str, Any]] = _STATE_REFUSALS | {
    409: {"model": ErrorAnswer, "description": "not computed yet; ask /check_state"},
}
TaskId = Annotated[
    str, Query(pattern="^[0-9a-f]{32}$", description="From /upload_features.", examples=["9f86d081884c7d659a2feaa0c55ad015"])
]


class Accepted(BaseModel):
    """A form that will be computed, whatever happens to the service."""

    task_id: str = Field(description="The same form has the same id.")
    is_complete: bool = Field(description="true when this form was computed before and its result is there.")


def prescoring_app(backend: Backend, prescoring: Prescoring | None = None, worker: QueueWorker | None = None) -> FastAPI:
    """The application of the prescoring service over an opened backend; `worker` is told of new forms."""
    forms = prescoring or Prescoring(backend)
    app = scoring_app("Opora: prescoring", "The likely decision of every partner bank on one form.", backend)
    _lead_to_documentation(app)

    @app.post("/upload_features", tags=["prescoring"], status_code=201)
    def upload_features(form: ApplicationForm) -> Accepted:
        """Accept a form, bare or as `{"features": {…}}`. The same form has the same `task_id` and is computed once."""
        complete = forms.upload(form)
        if worker is not None:
            worker.call()
        return Accepted(task_id=form.task_id(), is_complete=complete)

    @app.get("/check_state", tags=["prescoring"], responses=_STATE_REFUSALS)
    @app.get("/check_task", tags=["prescoring"], responses=_STATE_REFUSALS)
    def check_state(task_id: TaskId) -> bool:
        """true once /get_result has an answer for this form, false while it waits."""
        return forms.is_complete(task_id)

    @app.get("/get_result", tags=["prescoring"], response_model=PrescoringResult, responses=_RESULT_REFUSALS)
    def get_result(task_id: TaskId) -> Response:
        """The result as it was computed, by the model version that it names; 422 when the form could not be scored."""
        return _json(forms.result(task_id))

    @app.post("/prescore", tags=["prescoring"], response_model=PrescoringResult)
    def prescore(form: ApplicationForm) -> Response:
        """The same for callers that wait; a form that was computed before gets its stored result."""
        return _json(forms.prescore(form))

    return app


def _json(text: str) -> Response:
    return Response(text, media_type="application/json")


def _lead_to_documentation(app: FastAPI) -> None:
    """`GET /` leads to /docs here, where the other services tell that they are alive."""
    app.router.routes[:] = [route for route in app.router.routes if getattr(route, "path", None) != "/"]
    app.add_api_route("/", lambda: RedirectResponse("/docs"), include_in_schema=False)


BACKEND = Backend("prescoring", settings())
PRESCORING = Prescoring(BACKEND)
WORKER = QueueWorker(PRESCORING, timedelta(days=settings().prescoring_retention_days))


@entrance(guarded(prescoring_app(BACKEND, PRESCORING, WORKER), settings()), "prescoring", settings())
@bentoml.service(**service_options(settings(), 3002))
class PrescoringService(Served):
    """The prescoring application under BentoML, with a thread that works off the queue."""

    backend = BACKEND

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    def start(self) -> None:
        """Open the databases, follow the champion and work off the queue."""
        super().start()
        WORKER.start()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Finish the form at hand and flush the journal."""
        WORKER.stop()
        super().stop()
