"""The flow that trains a use case, registers the result and lets the gate decide."""

import pandas as pd
from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from features.lake import open_lake
from features.sets import FEATURE_SETS
from flows.full_disk import full_disk_told
from flows.refusing import refusing
from flows.registration import Judge, RegisteredVersion, fit_and_register
from flows.run_log import run_logger
from registry import promotion
from registry.models import UseCaseName
from settings import settings
from training.candidates import Budget
from training.learnable import learnable
from training.task import NotTrainable, TrainingTask
from training.use_cases import USE_CASES, training_frame, training_task


class TrainRequest(BaseModel):
    """What to train and for how long."""

    model_config = ConfigDict(extra="forbid")

    use_case: UseCaseName = Field(description="Which model to train.")
    trials: int = Field(12, ge=1, le=1000, description="Most configurations to try.")
    seconds: float = Field(60, ge=1, le=86_400, description="Longest time to search and refit, in seconds.")
    seed: int = Field(
        default_factory=lambda: settings().seed,
        ge=0,
        le=2**31 - 1,
        description="Same tables, settings and seed give the same model; empty = OPORA_SEED.",
    )


@flow(name="train", validate_parameters=True, flow_run_name="train {request.use_case}")
@refusing(NotTrainable)
def train(request: TrainRequest) -> RegisteredVersion:
    """Search, fit, register and gate one use case; the leaderboard is an artifact of the run."""
    with full_disk_told():
        return train_version(request, promotion.gate)


def train_version(request: TrainRequest, judged: Judge) -> RegisteredVersion:
    """Search, fit and register one use case on the newest tables; `judged` decides what becomes of the version.

    Raises:
        NotTrainable: the tables cannot give an honest model.
    """
    lake = open_lake(settings())
    versions = lake.versions()
    frame = training_frame(request.use_case, lake, versions)
    run_logger().info("%s: %d rows from lake versions %s", request.use_case, len(frame), versions)
    case = USE_CASES[request.use_case]
    task = _with_labels(training_task(request.use_case, versions), frame, request.seed)
    titles = {column.name: column for column in FEATURE_SETS[request.use_case].columns}
    budget = Budget(request.trials, request.seconds)
    return fit_and_register(
        task, frame, budget, request.seed, request.model_dump(), case.thresholds, titles=titles, costs=case.costs(), judged=judged
    )


def _with_labels(task: TrainingTask, frame: pd.DataFrame, seed: int) -> TrainingTask:
    learned = learnable(task, frame, seed)
    waiting = [name for name in task.outputs if name not in learned.outputs]
    if waiting:
        run_logger().warning(
            "%s: %s left out: too few decisions, or none of one kind in some part of the history; a later training takes them in",
            task.name,
            ", ".join(waiting),
        )
    return learned
