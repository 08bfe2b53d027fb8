"""The life of a form: accepted once, computed once by whoever comes first, kept for a while, forgotten."""

from __future__ import annotations

import time
from functools import cached_property

from bentos.prescoring.decision import Prescorer
from bentos.prescoring.form import ApplicationForm
from bentos.prescoring.queue import MOST_FAILURES, Progress, Task, TaskQueue
from bentos.serving.backend import Backend
from edge.errors import RequestRefused
from monitoring.rows import open_journal

_PATIENCE = 10.0
"""Seconds that a synchronous caller waits for somebody else who is computing the same form."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.1
"""Seconds until such a caller looks again, each time twice as long: forty of them would keep a core busy with looking."""


class Prescoring:
    """Forms over an opened backend: the queue, and the model that works it off."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._prescorer = Prescorer(backend)

    @cached_property
    def queue(self) -> TaskQueue:
        """The queue in the journal's database, opened when it is first needed."""
        config = self._backend.config
        return TaskQueue(open_journal(config), config.prescoring_lease_seconds)

    @property
    def ready(self) -> bool:
        """Whether there is a model to compute with."""
        return self._backend.champion.ready

    def upload(self, form: ApplicationForm) -> bool:
        """Accept a form; tells whether its result is there already. Durable when this returns."""
        return self.queue.put(form.task_id(), form.model_dump()).state == "done"

    def is_complete(self, task_id: str) -> bool:
        """Whether there is nothing more to come: a result, or the news that there is none.

        Raises:
            RequestRefused: 404, no such task.
        """
        return self._known(task_id).state != "waiting"

    def result(self, task_id: str) -> str:
        """The result as JSON.

        Raises:
            RequestRefused: 404, no such task; 409, not ready; 422, the form could not be scored.
        """
        progress = self._known(task_id)
        if progress.state == "waiting":
            message = "the form is not computed yet: ask /check_state until it says true"
            raise RequestRefused(409, "not_ready", message, "task_id", {"Retry-After": "1"})
        return _result(progress)

    def prescore(self, form: ApplicationForm) -> str:
        """The result as JSON: the stored one where the form was computed before, otherwise computed now.

        Raises:
            RequestRefused: 422, the form could not be scored; 503, no champion yet, or somebody else is at it for too long.
        """
        task_id, payload = form.task_id(), form.model_dump()
        deadline, pause = time.monotonic() + _PATIENCE, _FIRST_PAUSE
        while time.monotonic() < deadline:
            progress = self.queue.progress(task_id)
            if progress is not None and progress.result is not None:
                return progress.result
            self._backend.champion.model()
            task = self.queue.take_this(task_id, payload)
            if task is None:  # another thread or process computes this very form
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            elif (result := self.work(task)) is not None:
                return result
        message = "this form is being computed by another worker: ask again"
        raise RequestRefused(503, "busy", message, headers={"Retry-After": "1"})

    def work(self, task: Task) -> str | None:
        """Compute a task that is held and keep its result; None when the lease was lost meanwhile, and nothing was kept.

        An error counts as a failed attempt of the task, and is raised.
        """
        try:
            # The form was checked when it was accepted; a limit that depends on the day must not refuse it now.
            result, row = self._prescorer.compute(ApplicationForm.model_construct(**task.payload), task.accepted_at)
        except RequestRefused:
            raise
        except Exception as error:
            self.queue.fail(task, f"{MOST_FAILURES} attempts to score it failed, the last with {type(error).__name__}")
            raise
        text = result.model_dump_json(by_alias=True)
        if not self.queue.finish(task, text, row):
            return None
        self._backend.shadow.offer([row])
        return text

    def _known(self, task_id: str) -> Progress:
        progress = self.queue.progress(task_id)
        if progress is None:
            message = (
                "there is no such task: it was never accepted, or its time of keeping is over; send the form to /upload_features"
            )
            raise RequestRefused(404, "unknown_task", message, "task_id")
        return progress


def _result(progress: Progress) -> str:
    if progress.result is None:
        message = (
            f"this form was given up: {progress.error}; correct it, or send it again once the service's log has been seen to"
        )
        raise RequestRefused(422, "not_scorable", message, "task_id")
    return progress.result
