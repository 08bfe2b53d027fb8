"""The flow that trains a use case, registers the result and lets the gate decide."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pandas as pd
from prefect import flow, get_run_logger
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from pydantic import BaseModel, ConfigDict, Field

from features.lake import open_lake
from registry import models, promotion
from registry.scorer import Scorer
from settings import settings
from training.fit import Trained, describe
from training.fit import train as fit_task
from training.picture import shap_summary
from training.search import Budget
from training.task import TrainingTask
from training.use_cases import USE_CASES, training_frame, training_task


class TrainRequest(BaseModel):
    """What to train and for how long; the Prefect UI shows these fields as a form."""

    model_config = ConfigDict(extra="forbid")

    use_case: Literal["income", "prescoring", "recommendation", "fraud"] = Field(description="Which model to train.")
    trials: int = Field(12, ge=1, le=1000, description="Most configurations to try.")
    seconds: float = Field(60, ge=1, le=86_400, description="Longest time to search, in seconds.")
    seed: int = Field(20260101, ge=0, le=2**31 - 1, description="Same tables, settings and seed give the same model.")


@dataclass(frozen=True)
class TrainedVersion:
    """The registered version, whether it is now champion and why, and its figures on the holdout."""

    use_case: str
    version: str
    promoted: bool
    reason: str
    metrics: dict[str, float]


@flow(name="train", validate_parameters=True, flow_run_name="train {request.use_case}")
def train(request: TrainRequest) -> TrainedVersion:
    """Search, fit, register and gate one use case; the leaderboard is an artifact of the run."""
    logger = get_run_logger()
    lake = open_lake(settings())
    versions = lake.versions()
    frame = training_frame(request.use_case, lake, versions)
    logger.info("%s: %d rows from lake versions %s", request.use_case, len(frame), versions)
    task = training_task(request.use_case, versions)
    with models.training_run(request.use_case, f"train {request.use_case}") as run_id, _scratch() as folder:
        trained = _fit(task, frame, folder, request)
        _log(trained, request, run_id)
        version = models.log(trained.folder, run_id, request.use_case)
    verdict = promotion.gate(request.use_case, version, trained.holdout)
    logger.info("%s version %s %s", request.use_case, version, verdict.reason)
    _publish(trained, request, version, verdict)
    return TrainedVersion(request.use_case, version, verdict.promoted, verdict.reason, trained.metrics)


def _scratch() -> tempfile.TemporaryDirectory[str]:
    folder = settings().var / "training"
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=folder)


def _fit(task: TrainingTask, frame: pd.DataFrame, scratch: str, request: TrainRequest) -> Trained:
    folder = Path(scratch) / "scorer"
    folder.mkdir()
    key = f"search-{request.use_case}"
    artifact: Any = create_progress_artifact(progress=0.0, key=key, description=f"Searching a model for {request.use_case}")

    logger = get_run_logger()

    def progress(share: float, sentence: str) -> None:
        logger.info("%s: %s", request.use_case, sentence)
        update_progress_artifact(artifact_id=UUID(str(artifact)), progress=round(share * 100, 1), description=sentence)

    budget = Budget(request.trials, request.seconds)
    return fit_task(task, frame, folder, budget, request.seed, progress, USE_CASES[request.use_case].thresholds)


def _log(trained: Trained, request: TrainRequest, run_id: str) -> None:
    best = trained.leaderboard.best
    params = {**request.model_dump(), "family": best.family, "rounds": best.rounds, **best.params}
    models.log_results(run_id, params, describe(trained), {"leaderboard": trained.leaderboard.rows})
    scorer = Scorer.load(trained.folder)
    for output in scorer.outputs:
        models.log_picture(run_id, f"shap_{output}.png", shap_summary(scorer, output, trained.holdout.features))


def _publish(trained: Trained, request: TrainRequest, version: str, verdict: promotion.Verdict) -> None:
    url = f"{settings().public_mlflow_url}/#/models/{request.use_case}/versions/{version}"
    create_table_artifact(
        key=f"leaderboard-{request.use_case}",
        table=trained.leaderboard.rows,
        description=f"Trials for {request.use_case}, best first, by {trained.holdout.metric} on validation.",
    )
    lines = "\n".join(f"| {name} | {value:,.4f} |" for name, value in sorted(trained.metrics.items()))
    create_markdown_artifact(
        key=f"trained-{request.use_case}",
        markdown=f"# {request.use_case} version {version}\n\n{verdict.reason}\n\n[Open in MLflow]({url})\n\n"
        f"| figure on the untouched holdout | value |\n| --- | --- |\n{lines}\n",
        description=verdict.reason,
    )
