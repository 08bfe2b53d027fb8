"""The flow that compares what a champion scored with what it was trained on."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.events import emit_event
from pydantic import BaseModel, ConfigDict, Field

from clock import now
from flows.refusing import refusing
from monitoring.drift import ColumnDrift
from monitoring.observation import observe
from monitoring.rows import open_journal
from monitoring.standing import record_told
from monitoring.watch import Watched
from registry import models
from registry.loading import LoadedModel
from settings import Settings, settings


class DriftRequest(BaseModel):
    """Which model to watch and how far back."""

    model_config = ConfigDict(extra="forbid")

    use_case: models.UseCaseName = Field(description="Whose champion is watched.")
    days: int = Field(30, ge=1, le=366, description="How far back the journal is read, in days.")


@dataclass(frozen=True)
class DriftResult:
    """What a comparison found, and where its report lies.

    Attributes:
        share, importance: of the features that drifted, by number and by importance.
        broken: features whose source seems to be broken.
        surges: sentences on what has become more frequent within days.
        findings: sentences on the data of the window.
        alarm: whether a drift event was emitted.
        reason: why nothing was compared; empty when it was.
    """

    use_case: str
    version: str
    share: float
    importance: float
    drifted: tuple[str, ...]
    predictions_drifted: bool
    broken: tuple[str, ...]
    surges: tuple[str, ...]
    findings: tuple[str, ...]
    alarm: bool
    reason: str
    html: Path
    link: str

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        surged = "".join(f"; {sentence}" for sentence in self.surges)
        if self.reason:
            return f"{self.use_case} version {self.version}: nothing to compare: {self.reason}{surged}"
        predictions = "its predictions drifted" if self.predictions_drifted else "its predictions did not drift"
        broken = f"; look at the source of {', '.join(self.broken)}" if self.broken else ""
        return (
            f"{self.use_case} version {self.version}: {self.share:.0%} of the features drifted, "
            f"{self.importance:.0%} by importance, {predictions}{broken}{surged}"
        )


@flow(name="drift", validate_parameters=True, flow_run_name="drift {request.use_case}")
@refusing(models.NoChampion)
def drift(request: DriftRequest) -> DriftResult:
    """Compare the journal with the champion's reference, file the Evidently report, emit an event when it drifted.

    A window with too few scores is a result like any other: its report and artifact say so, and there is no event.

    Raises:
        NoChampion: nothing is in force for this use case.
    """
    config = settings()
    model = models.load_champion(request.use_case, config)
    until = now()
    watched = observe(model, until - timedelta(days=request.days), until, config)
    record_told(open_journal(config), model.use_case, until, watched.lately.told)
    result = _file(model, watched, config)
    get_run_logger().info("%s", result.verdict)
    _publish(result, watched)
    if result.alarm:
        _emit(result)
    return result


def _file(model: LoadedModel, watched: Watched, config: Settings) -> DriftResult:
    from monitoring.workspace import ReportWorkspace  # Evidently takes seconds to import, and every flow is imported to be served

    workspace = ReportWorkspace(config.var)
    filed = workspace.file(model.use_case, model.version, watched)
    workspace.discard(model.use_case, (watched.at - timedelta(days=config.report_days)).date())
    assert filed.html is not None
    models.log_version_page(model.use_case, model.version, f"drift/{filed.html.name}", filed.html, config)
    outcome = watched.outcome
    return DriftResult(
        use_case=model.use_case,
        version=model.version,
        share=outcome.share if outcome else 0.0,
        importance=outcome.drifted_importance if outcome else 0.0,
        drifted=outcome.drifted if outcome else (),
        predictions_drifted=outcome is not None and outcome.predictions_drifted,
        broken=watched.broken,
        surges=tuple(one.sentence for one in watched.lately.surges),
        findings=tuple(finding.sentence for finding in watched.findings),
        alarm=watched.alarm,
        reason=watched.reason,
        html=filed.html,
        link=filed.link(config.public_evidently_url),
    )


def _publish(result: DriftResult, watched: Watched) -> None:
    columns = (*watched.outcome.predictions, *watched.outcome.features) if watched.outcome else ()
    drifted = "".join(f"- {column.column}: {column.score:.3f} by {column.method}\n" for column in columns if column.drifted)
    findings = "".join(f"- {sentence}\n" for sentence in result.findings)
    sampling = watched.outcome.sampling if watched.outcome else ""
    create_markdown_artifact(
        key=f"drift-{result.use_case}",
        markdown=f"# Drift of {result.use_case}\n\n{result.verdict}. {sampling}\n\n[Open in Evidently]({result.link}), "
        f"or the file `{result.html}`.\n\n## Drifted\n\n{drifted or 'None.'}\n\n"
        f"## Findings on the data\n\n{findings or 'None.'}\n",
        description=result.verdict,
    )
    create_table_artifact(
        key=f"drift-columns-{result.use_case}",
        table=[_row(column) for column in columns],
        description=f"{result.verdict}; predictions first, then features by drift times importance.",
    )
    create_link_artifact(result.link, "Evidently report", key=f"drift-report-{result.use_case}", description=result.verdict)


def _row(column: ColumnDrift) -> dict[str, Any]:
    return {
        "column": column.column,
        "drifted": "yes" if column.drifted else "no",
        "importance": f"{column.importance:.1%}",
        "score": round(column.score, 4),
        "sampling error": round(column.error, 4),
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
            "importance": round(result.importance, 4),
            "drifted": list(result.drifted),
            "predictions_drifted": result.predictions_drifted,
            "broken": list(result.broken),
            "surges": list(result.surges),
            "report": result.link,
            "detail": result.verdict,
        },
    )
