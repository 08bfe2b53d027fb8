"""The flow that scores a table of the user's own with a model's champion; also `python -m flows.score_table`: `make score`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features.refusals import RefusedFile
from flows.command import Command

if __name__ == "__main__":
    command = Command()

import pandas as pd
from prefect import flow, get_run_logger

from flows.refusing import refusing
from flows.scratch import scratch
from flows.train_table import faults, listed
from registry.loading import LoadedModel
from registry.models import NoChampion, load_champion
from training.own_request import MODEL_NAME
from training.own_rows import open_rows
from training.own_scores import score_rows
from training.score_file import ScoreFile, UnwritableScores

_ROWS = 20_000


class ScoreTableRequest(BaseModel):
    """What to score and where to write the scores."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=MODEL_NAME, description="The model whose champion scores.")
    table: str = Field(min_length=1, description="A CSV (any dialect, also gzipped) or Parquet file on the server's disk.")
    out: str = Field(min_length=1, description="File to write, .csv or .parquet.")
    names: list[str] = Field([], description="Names of all columns in order, for a CSV file without a header line.")


@flow(name="score-table", validate_parameters=True, flow_run_name="score {request.name}")
@refusing(RefusedFile, NoChampion, UnwritableScores)
def score_table(request: ScoreTableRequest) -> int:
    """Score a file with the champion of `name`; returns the number of rows written."""
    written, notes = score_file(request)
    logger = get_run_logger()
    for note in notes:
        logger.warning("%s: %s", request.name, note)
    logger.info("%s: %d rows scored into %s", request.name, written, request.out)
    return written


def score_file(request: ScoreTableRequest) -> tuple[int, list[str]]:
    """Score the file in pieces; gives the number of rows and what the user should know.

    Raises:
        NoChampion: nothing is trained under this name. RefusedFile: the table is not like the one that was learned from.
        UnwritableScores: the result cannot be written.
    """
    model = load_champion(request.name)
    form = model.scorer.metadata.get("table")
    if not form:
        raise RefusedFile(
            f"model {request.name} was not trained on a table of one's own (make train): its rows come from the lake"
        )
    source, target = Path(request.table), Path(request.out)
    if target.exists() and source.exists() and target.samefile(source):
        raise UnwritableScores(f"OUT is the table itself ({target}): give another file")
    with scratch() as folder, open_rows(source, form, request.names, Path(folder)) as (table, notes), ScoreFile(target) as out:
        done = 0
        for rows in table.batches(_ROWS):
            out.write(_lines(model, rows, done))
            done += len(rows)
    return done, notes


def _lines(model: LoadedModel, rows: pd.DataFrame, before: int) -> pd.DataFrame:
    """Id or number of each row, and its scores."""
    name = model.scorer.metadata["table"]["id"]
    scores = score_rows(model.scorer, rows)
    if name in rows.columns:
        scores.insert(0, f"{name}_id" if name in scores.columns else name, rows[name].astype(object))
    else:
        scores.insert(0, "row", range(before + 1, before + 1 + len(rows)))
    return scores


def main(arguments: list[str]) -> int:
    """Score what the command line asks for and print what came of it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="make score", description=__doc__)
    for name, field in ScoreTableRequest.model_fields.items():
        parser.add_argument(f"--{name}", default="", required=field.is_required(), help=field.description)
    given: dict[str, Any] = {name: text for name, text in vars(parser.parse_args(arguments)).items() if text}
    if "names" in given:
        given["names"] = listed(given["names"])
    try:
        request = ScoreTableRequest(**given)
        done, notes = score_file(request)
    except ValidationError as error:
        print(*faults(error), sep="\n", file=sys.stderr)
        return 2
    except (NoChampion, RefusedFile, UnwritableScores) as error:
        print(f"Not scored: {error}", file=sys.stderr)
        return 1
    print(*(f"Note: {note}" for note in notes), f"{done:,} rows scored into {request.out}", sep="\n")
    return 0


if __name__ == "__main__":
    command.end(main(sys.argv[1:]))
