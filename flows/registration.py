"""What every training does once its task and frame are known: fit, log, register, gate, publish.

Inside a flow run all of it is seen in Prefect; it works without one as well.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pandas as pd
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from features.columns import FeatureColumn
from flows.run_log import in_run, run_logger
from flows.scratch import scratch
from registry import models, promotion
from registry.judgement import figure
from registry.scorer import DamagedModel
from settings import settings
from training.candidates import Budget, Progress
from training.fit import Trained, describe, train
from training.report import Report, report
from training.report.card import model_card
from training.report.evidence import WRONG_ANSWERS
from training.task import TrainingTask
from training.thresholds import CostMatrix, Thresholds


@dataclass(frozen=True)
class RegisteredVersion:
    """The version of a model that a training left, whether it is now champion and why, its figures and its leaderboard."""

    name: str
    version: str
    promoted: bool
    reason: str
    metrics: dict[str, float]
    leaderboard: list[dict[str, Any]]
    url: str


Judge = Callable[[str, str, promotion.Holdout], promotion.Verdict]
"""Decides what becomes of a registered version of a model, by its holdout."""


def fit_and_register(
    task: TrainingTask,
    frame: pd.DataFrame,
    budget: Budget,
    seed: int,
    params: dict[str, Any],
    thresholds: Thresholds | None = None,
    titles: Mapping[str, FeatureColumn] | None = None,
    costs: CostMatrix = WRONG_ANSWERS,
    judged: Judge = promotion.gate,
) -> RegisteredVersion:
    """Train `task`, register the result as the next version of its model and let the gate decide; all of it seen in Prefect.

    Args:
        task: what is to be learned; its name is the model's.
        frame: with every column that the task names.
        budget: of the search.
        seed: of the training.
        params: what was asked for, logged with the MLflow run.
        thresholds: chooses decision thresholds by output.
        titles: columns by name whose titles the report shows.
        costs: of the outcomes of a decision, for the report's threshold table.
        judged: the gate, or what leaves it for later.
    """
    with models.training_run(task.name, f"train {task.name}") as run_id, scratch() as folder:
        scorer = Path(folder) / "scorer"
        scorer.mkdir()
        trained = train(task, frame, scorer, budget, seed, progress(task.name), thresholds, settings().var / "searches")
        if not any(row["state"] == "complete" for row in trained.leaderboard.rows):
            run_logger().warning("%s: no configuration came to its end in %.0f s: give more time", task.name, budget.seconds)
        models.log_results(run_id, params, describe(trained), {"leaderboard": trained.leaderboard.rows, "table": task.table})
        version = models.log(scorer, run_id, task.name)
        # Before the gate: against the champion as it is, and nothing is promoted that cannot be reported on.
        _write_report(report(trained, task, champion_of(task.name), titles, costs), run_id, task.name, version)
        verdict = judged(task.name, version, trained.holdout)
    run_logger().info("%s version %s %s", task.name, version, verdict.reason)
    url = f"{settings().public_mlflow_url}/#/models/{task.name}/versions/{version}"
    if in_run():
        _publish(trained, task.name, version, verdict.reason, url)
    return RegisteredVersion(task.name, version, verdict.promoted, verdict.reason, trained.metrics, trained.leaderboard.rows, url)


def champion_of(name: str) -> models.LoadedModel | None:
    """The version in force, None where there is none that can be loaded."""
    try:
        return models.load_champion(name)
    except (models.NoChampion, DamagedModel):
        return None


def _write_report(written: Report, run_id: str, name: str, version: str) -> None:
    models.log_page(run_id, "report.html", written.html)
    for picture, png in written.pictures.items():
        models.log_picture(run_id, picture, png)
    models.describe_version(name, version, model_card(written.evidence, written.fairness, version))


def progress(name: str) -> Progress:
    """Every sentence in the log, and in a flow run a progress bar."""
    logger = run_logger()

    def tell(_share: float, sentence: str) -> None:
        logger.info("%s: %s", name, sentence)

    if not in_run():
        return tell
    artifact: Any = create_progress_artifact(
        progress=0.0, key=f"search-{name.lower()}", description=f"Searching a model for {name}"
    )

    def report(share: float, sentence: str) -> None:
        tell(share, sentence)
        update_progress_artifact(artifact_id=UUID(str(artifact)), progress=round(share * 100, 1), description=sentence)

    return report


def _publish(trained: Trained, name: str, version: str, reason: str, url: str) -> None:
    key = name.lower()
    create_table_artifact(
        key=f"leaderboard-{key}",
        table=trained.leaderboard.rows,
        description=f"Trials for {name}, best first, by {trained.holdout.metric} on validation.",
    )
    lines = "\n".join(f"| {name} | {figure(value)} |" for name, value in sorted(trained.metrics.items()))
    create_markdown_artifact(
        key=f"trained-{key}",
        markdown=f"# {name} version {version}\n\n{reason}\n\n[Open in MLflow]({url})\n\n"
        f"| figure on the untouched holdout | value |\n| --- | --- |\n{lines}\n",
        description=reason,
    )
