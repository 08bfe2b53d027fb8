"""The flow that compares what a champion scored with what it was trained on."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from prefect import flow, get_run_logger
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.events import emit_event
from pydantic import BaseModel, ConfigDict, Field

from clock import now
from database import open_database
from monitoring.drift import ColumnDrift, DriftLimits, DriftOutcome, drift_report
from monitoring.journal import Journal, Sample
from registry.models import LoadedModel, load_champion
from settings import Settings, settings


class DriftRequest(BaseModel):
    """Which model to watch and how far back; the Prefect UI shows these fields as a form."""

    model_config = ConfigDict(extra="forbid")

    use_case: Literal["income", "prescoring", "recommendation", "fraud"] = Field(description="Whose champion is watched.")
    days: int = Field(30, ge=1, le=366, description="How far back the journal is read, in days.")


@dataclass(frozen=True)
class DriftResult:
    """What a comparison found, and where its report lies; `alarm` says that a drift event was emitted."""

    use_case: str
    version: str
    share: float
    drifted: tuple[str, ...]
    predictions_drifted: bool
    alarm: bool
    html: Path
    link: str


@flow(name="drift", validate_parameters=True, flow_run_name="drift {request.use_case}")
def drift(request: DriftRequest) -> DriftResult:
    """Compare the journal with the champion's reference, file the Evidently report, emit an event when it drifted.

    Raises:
        NoChampion: nothing is in force for this use case.
        NothingToCompare: the champion has scored too little in the window.
    """
    config = settings()
    model = load_champion(request.use_case, config)
    limits = DriftLimits(config.drift_rows, config.drift_fewest_rows, config.drift_distance, config.drift_share, config.seed)
    sample = _scores(model, request, limits, config)
    outcome = _compare(model, sample, limits)
    result = _file(model, outcome, config)
    get_run_logger().info("%s", _verdict(result))
    _publish(result, outcome)
    if result.alarm:
        _emit(result)
    return result


def _scores(model: LoadedModel, request: DriftRequest, limits: DriftLimits, config: Settings) -> Sample:
    until = now()
    since = until - timedelta(days=request.days)
    with Journal(open_database(config.database("journal"))) as journal:
        return journal.sample(model.use_case, model.version, since, until, limits.rows, limits.seed)


def _compare(model: LoadedModel, sample: Sample, limits: DriftLimits) -> DriftOutcome:
    scorer = model.scorer
    predictions = [f"prediction_{output}" for output in scorer.outputs]
    named = {f"feature_{name}": name for name in scorer.columns}  # a feature may be called like a field of the journal
    kept = [column for column in sample.frame.columns if column in named or column in predictions]
    current = sample.frame[kept].rename(columns=named)
    return drift_report(scorer.reference, current, scorer.columns, predictions, limits, sample.total)


def _file(model: LoadedModel, outcome: DriftOutcome, config: Settings) -> DriftResult:
    from monitoring.workspace import ReportWorkspace  # Evidently takes seconds to import, and every flow is imported to be served

    predictions = [column.column for column in outcome.predictions]
    filed = ReportWorkspace(config.var).file(model.use_case, sorted(predictions), outcome.snapshot, now())
    return DriftResult(
        use_case=model.use_case,
        version=model.version,
        share=outcome.share,
        drifted=outcome.drifted,
        predictions_drifted=outcome.predictions_drifted,
        alarm=outcome.share >= config.drift_share or outcome.predictions_drifted,
        html=filed.html,
        link=filed.link(config.public_evidently_url),
    )


def _verdict(result: DriftResult) -> str:
    predictions = "its predictions drifted" if result.predictions_drifted else "its predictions did not drift"
    return f"{result.use_case} version {result.version}: {result.share:.0%} of the features drifted, {predictions}"


def _publish(result: DriftResult, outcome: DriftOutcome) -> None:
    verdict = _verdict(result)
    failed = "".join(f"- {check.name}: {check.description}\n" for check in outcome.checks if not check.passed)
    create_markdown_artifact(
        key=f"drift-{result.use_case}",
        markdown=f"# Drift of {result.use_case}\n\n{verdict}. {outcome.sampling}\n\n[Open in Evidently]({result.link}), "
        f"or the file `{result.html}`.\n\n## Failed tests\n\n{failed or 'None.'}\n",
        description=verdict,
    )
    rows = [_row(column) for column in (*outcome.predictions, *outcome.features)]
    create_table_artifact(key=f"drift-columns-{result.use_case}", table=rows, description=f"{verdict}; furthest drifted first.")
    create_link_artifact(result.link, "Evidently report", key=f"drift-report-{result.use_case}", description=verdict)


def _row(column: ColumnDrift) -> dict[str, Any]:
    return {
        "column": column.column,
        "drifted": "yes" if column.drifted else "no",
        "score": round(column.score, 4),
        "threshold": round(column.threshold, 4),
        "method": column.method,
        "missing in reference": f"{column.missing_reference:.1%}",
        "missing in window": f"{column.missing_current:.1%}",
    }


def _emit(result: DriftResult) -> None:
    emit_event(
        event=f"opora.drift.{result.use_case}",
        resource={"prefect.resource.id": f"opora.model.{result.use_case}", "opora.version": result.version},
        payload={
            "use_case": result.use_case,
            "version": result.version,
            "share": round(result.share, 4),
            "drifted": list(result.drifted),
            "predictions_drifted": result.predictions_drifted,
            "report": result.link,
        },
    )
