"""The flow that judges the loop's challengers once their time in shadow is over."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from mlflow.exceptions import MlflowException
from prefect import flow
from prefect.artifacts import create_table_artifact

from clock import now
from features.lake import open_lake
from features.refusals import UnknownTable
from flows.loop_alerts import tell
from flows.run_log import run_logger
from monitoring.leases import kept, take
from monitoring.live import Live, live
from monitoring.loop_log import UNANSWERED, Challenger, LoopLog
from monitoring.loop_tables import open_loop, writing
from registry import aliases, models, promotion
from registry.candidate import Unservable, load_candidate
from registry.ledger import open_ledger
from settings import Settings, settings
from training.fit import holdout_of
from training.task import NotTrainable
from training.use_cases import recorded


@dataclass(frozen=True)
class Gated:
    """The gate's word on a challenger of the loop, once its time in shadow was over."""

    use_case: str
    version: str
    promoted: bool
    reason: str


@flow(name="gate")
def gate() -> list[Gated]:
    """Judge the challengers whose time in shadow is over; the verdicts are an artifact of the run."""
    verdicts = gate_challengers(now(), settings())
    for one in verdicts:
        run_logger().info("%s version %s %s", one.use_case, one.version, one.reason)
    if verdicts:
        table: list[dict[str, Any]] = [asdict(one) for one in verdicts]
        create_table_artifact(key="gate", table=table, description="Challengers of the loop that were judged.")
    return verdicts


def gate_challengers(at: datetime, config: Settings) -> list[Gated]:
    """Judge every challenger of the loop whose time in shadow is over at the moment `at`, oldest first.

    That is after `shadow_hours`, or as soon as it was given `shadow_rows` rows. Each is judged by `promotion.gate` on the holdout
    of its own training, made again from the recorded table versions, and what live traffic said is told with the verdict. One
    that failed on any live row is refused. A verdict that was cut short by a kill is found in the ledger, not given twice.
    """
    log = LoopLog(open_loop(config))
    close_unanswered(log, at, config)
    judged = [_judge_in_time(challenger, at, log, config) for challenger in log.challengers()]
    return [one for one in judged if one is not None]


def close_unanswered(log: LoopLog, at: datetime, config: Settings) -> None:
    """Record and tell that nobody answered in time, where a person was asked."""
    for event in log.close_unanswered(at):
        tell(log, config, event, "refused", UNANSWERED)


def _judge_in_time(challenger: Challenger, at: datetime, log: LoopLog, config: Settings) -> Gated | None:
    event, version = challenger.event, challenger.version
    seen = live(log.engine, event.use_case, version, challenger.trained_at, at)
    if at - challenger.trained_at < timedelta(hours=config.shadow_hours) and seen.rows < config.shadow_rows:
        return None
    name, holder, length = f"gate {event.event_id}", uuid4().hex, timedelta(seconds=config.response_lease_seconds)
    with writing(log.engine) as connection:
        if not take(connection, name, holder, length, now()):
            return None  # another run is judging it
    with kept(log.engine, name, holder, length):
        if challenger not in log.challengers():
            return None
        promoted, reason, figures = _verdict_given(challenger, config) or _judge(challenger, seen, config)
        word = "promoted" if promoted else "refused"
        log.add(event, "gated", word, reason, holder, challenger=version, figures=figures)
    tell(log, config, event, "promoted" if promoted else "rejected", f"version {version} {reason}")
    return Gated(event.use_case, version, promoted, reason)


def _verdict_given(challenger: Challenger, config: Settings) -> tuple[bool, str, dict[str, Any]] | None:
    """The verdict that the ledger has on the challenger already, from a gate that was cut short or another hand."""
    ledger = open_ledger(config)
    with ledger.reading() as connection:
        rows = ledger.history(connection, challenger.event.use_case)
    for row in reversed(rows):
        if row.version == challenger.version and row.action in ("promote", "adopt", "refuse"):
            return row.action != "refuse", row.reason, dict(row.figures)
    return None


def _judge(challenger: Challenger, seen: Live, config: Settings) -> tuple[bool, str, dict[str, Any]]:
    use_case, version = challenger.event.use_case, challenger.version
    try:
        verdict = promotion.gate(use_case, version, _holdout(use_case, version, config), config=config, evidence=_evidence(seen))
    except (NotTrainable, UnknownTable, Unservable) as error:
        reason = f"refused: it cannot be judged: {error}"
        aliases.record_refusal(use_case, version, models.champion_version(use_case, config), reason, seen.figures, config)
        return False, reason, seen.figures
    except MlflowException as error:
        if error.error_code not in models.GONE:
            raise
        return False, "refused: it is not in the registry any more", seen.figures
    return verdict.promoted, verdict.reason, dict(verdict.figures)


def _evidence(seen: Live) -> promotion.Evidence:
    refusal = f"it failed on {seen.failed:,} of {seen.rows:,} live rows" if seen.failed else ""
    return promotion.Evidence(seen.sentence, seen.figures, refusal)


def _holdout(use_case: str, version: str, config: Settings) -> promotion.Holdout:
    """The rows that the training kept from the version, made again: nothing about clients lies about meanwhile."""
    scorer = load_candidate(use_case, version, config).scorer
    task, frame = recorded(use_case, scorer.outputs, open_lake(config), scorer.metadata)
    return holdout_of(task, frame, int(scorer.metadata["seed"]))
