"""The flow that tells how good a champion is: realised where labels have come, estimated where not."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.events import emit_event
from pydantic import BaseModel, ConfigDict, Field

from clock import now
from flows.refusing import refusing
from monitoring.as_served import as_served
from monitoring.companions import companions
from monitoring.early import Early, early_labels
from monitoring.estimates import Coverage, coverage, judge_estimates, record_estimate
from monitoring.estimation import Estimated, NotEstimable
from monitoring.label_targets import AMOUNTS
from monitoring.loss import reference_quality, relative_loss
from monitoring.maturity import matured_window
from monitoring.quality import Realised, estimated, realised, scored_since, scores_of
from monitoring.rows import open_journal
from registry.loading import LoadedModel
from registry.metrics import METRICS
from registry.models import NoChampion, UseCaseName, load_champion
from settings import Settings, settings


class QualityRequest(BaseModel):
    """Whose quality is asked for and over how long."""

    model_config = ConfigDict(extra="forbid")

    use_case: UseCaseName = Field(description="Whose champion is judged.")
    days: int = Field(30, ge=1, le=366, description="Length of the two windows in days: the newest matured one, and the newest.")


@dataclass(frozen=True)
class QualityResult:
    """How good a champion was and is.

    Attributes:
        reference: the metric on the labelled sample of the holdout; None for a version that was stored without.
        realised: over the newest window whose labels have come.
        estimated: over the newest window, or why it is not estimable.
        early: what labels say that have come before the rest; None for a model of probabilities.
        figures: what the contract asks for beside the metric, by name.
        coverage: how earlier estimates have turned out.
        loss: the greatest relative loss of the three against the reference that is beyond chance; 0 when none is. An estimate
            counts once the version has scored for the whole window: a few days have few frauds, and those of few campaigns.
        alarm: whether a quality event was emitted.
    """

    use_case: str
    version: str
    reference: float | None
    realised: Realised
    estimated: Estimated | NotEstimable
    early: Early | None
    figures: dict[str, float]
    coverage: Coverage
    loss: float
    alarm: bool

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        title = METRICS[self.realised.metric].title
        early = "" if self.early is None else f"; {self.early.sentence}"
        return (
            f"{self.use_case} version {self.version}: {title} realised {_told(self.realised)}, "
            f"estimated {_told(self.estimated)}{early}"
        )


@flow(name="quality", validate_parameters=True, flow_run_name="quality {request.use_case}")
@refusing(NoChampion)
def quality(request: QualityRequest) -> QualityResult:
    """Judge a champion, keep the estimate, compare earlier ones with what came, emit an event when too much is lost.

    Raises:
        NoChampion: nothing is in force for this use case.
    """
    config = settings()
    result = judge_quality(load_champion(request.use_case, config), request.days, now(), config)
    get_run_logger().info("%s", result.verdict)
    _publish(result)
    if result.alarm:
        _emit(result)
    return result


def judge_quality(model: LoadedModel, days: int, at: datetime, config: Settings) -> QualityResult:
    """The quality of a version at the moment `at`; its estimate is kept, and earlier ones are judged."""
    engine = open_journal(config)
    name, version = model.use_case, model.version
    since, until = at - timedelta(days=days), at
    scores = scores_of(engine, name, version, since, until, config.seed)
    scorer = as_served(model, scores, config.seed).scorer
    reference = reference_quality(name, scorer)
    early = early_labels(engine, name, scorer, at, days, config) if name == AMOUNTS else None
    expected = estimated(engine, name, version, scores, until, scorer, config)
    if early is not None:
        expected = early.borne_out(expected, reference, config.quality_loss)
    record_estimate(engine, name, version, since, until, expected)
    judge_estimates(engine, name, at, config)
    matured = matured_window(name, at, days, config)
    found = realised(engine, name, version, *matured)
    whole = scored_since(engine, name, version, since + timedelta(days=1))
    loss = max(
        relative_loss(reference, found),
        relative_loss(reference, expected) if whole else 0.0,
        early.loss(reference) if early else 0.0,
    )
    return QualityResult(
        use_case=name,
        version=version,
        reference=None if reference is None else reference.value,
        realised=found,
        estimated=expected,
        early=early,
        figures=companions(engine, name, scores, matured, scorer, version, config),
        coverage=coverage(engine, name),
        loss=loss,
        alarm=loss >= config.quality_loss,
    )


def _told(found: Realised | Estimated | NotEstimable) -> str:
    if isinstance(found, NotEstimable) or found.value is None:
        return f"not ({found.reason})"
    return f"{found.value:,.4g} (90 % interval {found.low:,.4g} to {found.high:,.4g}, {found.rows:,} rows)"


def _publish(result: QualityResult) -> None:
    verdict = result.verdict
    judged = result.coverage
    held = f"{judged.held} of {judged.judged} earlier intervals held what was realised" if judged.judged else "none judged so far"
    reference = "unknown: the version was stored without labels" if result.reference is None else f"{result.reference:,.4g}"
    create_markdown_artifact(
        key=f"quality-{result.use_case}",
        markdown=f"# Quality of {result.use_case}\n\n{verdict}.\n\nOn the holdout: {reference}. Loss beyond chance: "
        f"{result.loss:.1%}{', **beyond the limit**' * result.alarm}.\n\nEstimates: {held}.\n",
        description=verdict,
    )
    rows: list[dict[str, Any]] = [{"figure": name, "value": round(value, 4)} for name, value in result.figures.items()]
    if rows:
        create_table_artifact(key=f"quality-figures-{result.use_case}", table=rows, description="Figures beside the metric.")


def _emit(result: QualityResult) -> None:
    estimate = result.estimated
    emit_event(
        event=f"opora.quality.{result.use_case}",
        resource={"prefect.resource.id": f"opora.model.{result.use_case}", "opora.version": result.version},
        payload={
            "use_case": result.use_case,
            "version": result.version,
            "loss": round(result.loss, 4),
            "reference": result.reference,
            "realised": asdict(result.realised),
            "estimated": asdict(estimate),
            "early": result.early and asdict(result.early),
            "detail": f"{result.verdict}; loss {result.loss:.1%} against the holdout",
        },
    )
