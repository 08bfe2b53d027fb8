"""The flow that answers an event of drift or lost quality: decide, tell a person, retrain on fresh data as challenger."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Literal
from uuid import uuid4

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run
from pydantic import BaseModel, ConfigDict, Field

from clock import now
from features.lake import open_lake
from flows.gate import Gated, close_unanswered, gate_challengers
from flows.loop_alerts import tell
from flows.run_log import in_run, run_logger
from flows.train import TrainRequest, train_version
from monitoring.decisions import Decision, Event, Known, Limits, Past, decide
from monitoring.leases import LeaseLost, kept
from monitoring.loop_log import LoopLog
from monitoring.loop_tables import open_loop
from registry import models, promotion
from registry.candidate import Unservable, load_candidate
from settings import Settings, settings
from training.task import NotTrainable
from training.use_cases import tables_of

__all__ = ["Gated", "RespondRequest", "Response", "gate_challengers", "respond", "respond_to"]


class RespondRequest(BaseModel):
    """The event that is answered; the automation fills this in, the Prefect UI shows it as a form."""

    model_config = ConfigDict(extra="forbid")

    use_case: models.UseCaseName = Field(description="Whose champion the event is about.")
    kind: Literal["drift", "quality"] = Field(description="What was found.")
    event_id: str = Field(min_length=1, max_length=100, description="Each event is answered once, however often it is delivered.")
    version: str = Field(min_length=1, max_length=20, description="The version that was champion when it was found.")
    broken: list[str] = Field([], max_length=500, description="Columns whose source seems to be broken.")
    detail: str = Field("", max_length=2000, description="What was found, in figures; nothing about clients.")
    report: str = Field("", max_length=500, description="Address of the report.")

    @property
    def event(self) -> Event:
        """As the rule takes it."""
        return Event(self.use_case, self.kind, self.event_id, self.version, tuple(self.broken))


@dataclass(frozen=True)
class Response:
    """What became of an event.

    Attributes:
        decision: "retrain", "wait", "mend" (the source is broken), "refused" (by a person, or nobody answered), "failed" (the
            training), "duplicate" (the event was answered before).
        reason: in words.
        version: that was trained and is challenger now; None = none.
    """

    decision: Literal["retrain", "wait", "mend", "refused", "failed", "duplicate"]
    reason: str
    version: str | None = None


class Approval(RunInput):
    """The form on which a person answers, in the Prefect UI."""

    retrain: Literal["yes", "no"] = Field(description="Train a new version on fresh data as challenger?")
    person: str = Field(min_length=1, max_length=100, description="Who decides: your name or staff number.")
    comment: str = Field("", max_length=1000, description="Why; kept in the bank's database, not sent anywhere.")


Ask = Callable[[str, int], Approval]
"""Asks a person: the question and the seconds that the answer is waited for → the answer."""


@flow(name="respond", validate_parameters=True, flow_run_name="respond to {request.kind} of {request.use_case}")
def respond(request: RespondRequest) -> Response:
    """Answer an event once: retrain as challenger, wait, or have the source mended; the reason is an artifact of the run."""
    response = respond_to(request, settings(), _ask_in_prefect if deployment.id else None)
    run_logger().info("%s: %s: %s", request.use_case, response.decision, response.reason)
    create_markdown_artifact(
        key=f"response-{request.use_case}",
        markdown=f"# {request.use_case}: {response.decision}\n\n{response.reason}\n\n"
        f"Event {request.event_id}: {request.kind} of version {request.version}. {request.detail}\n\n"
        f"{f'Challenger: version {response.version}' if response.version else 'No version was trained.'}\n",
        description=f"{response.decision}: {response.reason}",
    )
    return response


def respond_to(event: RespondRequest, config: Settings, ask: Ask | None = None) -> Response:
    """Decide by `monitoring.decisions.decide`, record, alert; where it says so, train on fresh data and leave a challenger.

    An event is answered once, whoever delivers it how often. Needs no Prefect server. A run that died is followed by the next
    event, once its lease has ended; the same flow run may also be started again, and goes on where it was.

    Args:
        ask: for `approval` = "person"; without it nobody can be asked, and the answer counts as no.

    Raises:
        Exception: whatever a training may raise beside NotTrainable; it is recorded as failed before.
    """
    log, found, holder = LoopLog(open_loop(config)), event.event, _holder()
    close_unanswered(log, now(), config)
    lease = timedelta(seconds=config.response_lease_seconds)
    begun = log.begin(found, holder, _rule(found, config), now(), lease)
    word, reason = begun.decision.word, begun.decision.reason
    if begun.state == "known":
        return Response("duplicate", f"event {found.event_id} was answered before: {word}: {reason}")
    if begun.state == "new":
        tell(log, config, found, word, reason, event.detail, event.report)
    if word != "retrain":
        return Response(word, reason)
    with kept(log.engine, found.use_case, holder, lease):
        if config.approval == "person":
            refusal = _refusal(log, event, holder, begun.asked_until, ask, config)
            if refusal:
                return Response("refused", refusal)
        return _retrained(log, event, reason, holder, config)


def _holder() -> str:
    """The flow run, which Prefect may start again after a suspension or a crash; else this one call."""
    return str(flow_run.id) if in_run() else uuid4().hex


def _rule(event: Event, config: Settings) -> Callable[[Sequence[Past]], Decision]:
    limits = Limits(config.retrainings_per_week, timedelta(hours=config.retraining_cooldown_hours))
    known = _known(event.use_case, config)
    return lambda past: decide(event, past, known, limits, now())


def _known(use_case: str, config: Settings) -> Known:
    """The champion, and which of its tables have grown since it was trained; all of them when nobody can tell."""
    champion, lake = models.champion_version(use_case, config), open_lake(config).versions()
    learned: dict[str, int] = {}
    if champion is not None:
        try:
            learned = load_candidate(use_case, champion, config).scorer.metadata.get("lake_versions") or {}
        except Unservable as error:
            run_logger().warning("%s: champion %s cannot be read: %s", use_case, champion, error)
    newer = [table for table in tables_of(use_case) if table in lake and lake[table] > learned.get(table, -1)]
    return Known(champion, tuple(newer))


def _refusal(
    log: LoopLog, event: RespondRequest, holder: str, asked_until: datetime | None, ask: Ask | None, config: Settings
) -> str:
    """Ask a person, once; why not to retrain, empty when the answer is yes."""
    found = event.event
    if ask is None:
        reason = "OPORA_APPROVAL asks for a person, who can only be asked by the Prefect deployment respond"
        log.add(found, "answered", "refuse", reason, holder)
        return reason
    if asked_until is None:
        asked_until = now() + timedelta(hours=config.approval_hours)
        log.add(found, "asked", "ask", f"a person may answer until {asked_until:%Y-%m-%d %H:%M} UTC", holder, until=asked_until)
        tell(log, config, found, "ask", "the answer is waited for", event.detail, event.report)
    question = f"{event.kind} of {event.use_case}, version {event.version}. {event.detail} {event.report}"
    answer = ask(question.strip(), max(1, round((asked_until - now()).total_seconds())))
    decision, reason = ("retrain", "a person approved") if answer.retrain == "yes" else ("refuse", "a person refused")
    log.add(found, "answered", decision, reason, holder, person=answer.person, comment=answer.comment)
    if decision == "retrain":
        return ""
    tell(log, config, found, "refused", reason)
    return reason


def _ask_in_prefect(question: str, seconds: int) -> Approval:
    """Suspend the run until its form is answered; its process ends, and Prefect starts the run again with the answer."""
    return suspend_flow_run(wait_for_input=Approval.with_initial_data(description=question), timeout=seconds)


def _retrained(log: LoopLog, event: RespondRequest, reason: str, holder: str, config: Settings) -> Response:
    found = event.event
    request = TrainRequest(
        use_case=event.use_case, trials=config.retraining_trials, seconds=config.retraining_seconds, seed=config.seed
    )
    try:
        trained = train_version(request, partial(promotion.postpone, config=config))
        log.add(found, "trained", "challenger", trained.reason, holder, challenger=trained.version, figures=trained.metrics)
    except (NotTrainable, LeaseLost) as error:
        return _failed(log, config, found, str(error), holder)
    except Exception as error:
        _failed(log, config, found, f"the training ended with {type(error).__name__}: see the run's log", holder)
        raise
    tell(log, config, found, "trained", f"version {trained.version} {trained.reason}")
    return Response("retrain", reason, trained.version)


def _failed(log: LoopLog, config: Settings, event: Event, reason: str, holder: str) -> Response:
    log.add(event, "failed", "failed", reason, holder)
    tell(log, config, event, "failed", reason)
    return Response("failed", reason)
