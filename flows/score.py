"""The flow that scores the newest rows of a use case in one batch, into the journal."""

from prefect import flow, get_run_logger
from pydantic import BaseModel, ConfigDict, Field

from features.current import NothingIngested, current_rows
from features.lake import open_lake
from flows.refusing import refusing
from monitoring.batch import batch_rows
from monitoring.journal import Journal
from monitoring.rows import open_journal
from registry.models import NoChampion, UseCaseName, load_champion
from settings import settings


class ScoreRequest(BaseModel):
    """What to score."""

    model_config = ConfigDict(extra="forbid")

    use_case: UseCaseName = Field(description="Whose champion scores.")
    days: int = Field(7, ge=1, le=366, description="How far back applications and payments are taken, in days.")
    most: int = Field(20_000, ge=1, le=10_000_000, description="Most rows; of more, a sample is scored.")


@flow(name="score", validate_parameters=True, flow_run_name="score {request.use_case}")
@refusing(NoChampion, NothingIngested)
def score(request: ScoreRequest) -> int:
    """Score the newest rows with the champion; returns how many rows the journal got."""
    config = settings()
    frame = current_rows(request.use_case, open_lake(config).tables(), request.days)
    if len(frame) > request.most:
        frame = frame.sample(request.most, random_state=config.seed)
    rows = batch_rows(load_champion(request.use_case, config), frame)
    with Journal(open_journal(config)) as journal:
        journal.write(rows)
    get_run_logger().info("%s: %d rows scored into the journal", request.use_case, len(rows))
    return len(rows)
