"""The flow that joins a file of labels to the journal; also `python -m flows.labels`: `make labels`."""

import argparse
import math
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from features.refusals import RefusedFile
from flows.command import Command

if __name__ == "__main__":
    command = Command()

import pandas as pd
from prefect import flow, get_run_logger

from clock import now
from flows.refusing import refusing
from flows.scratch import scratch
from monitoring.labels import Label, LabelsOutcome, record_labels
from monitoring.rows import open_journal
from settings import settings
from training.table import open_table
from training.table_columns import ColumnKind

_ROWS = 20_000
_KEYS = {"score_id": "score_id", "transaction_id": "transaction_id", "client_id": "client_id", "client_code": "client_id"}
_TEXTS = (*_KEYS, "month", "output")
_LABELS = ("label", "is_fraud", "income", "accepted")
"""Columns that hold the label of the one output; any further column named after an output (bank_a, …) holds that one's."""
_OUTPUT_PREFIX = "bank_"


class LabelsRequest(BaseModel):
    """Which file to join."""

    model_config = ConfigDict(extra="forbid")

    file: str = Field(min_length=1, description="A CSV (any dialect, also gzipped) or Parquet file on the server's disk.")


@flow(name="labels", validate_parameters=True)
@refusing(RefusedFile)
def labels(request: LabelsRequest) -> LabelsOutcome:
    """Join a file of labels to the journal; returns how many came to what.

    Raises:
        RefusedFile: it is no table, or lacks the columns.
    """
    outcome = join_file(Path(request.file))
    get_run_logger().info("%s", sentence(outcome))
    return outcome


def join_file(path: Path) -> LabelsOutcome:
    """Join the labels of a table, in pieces, so that a killed run is simply repeated.

    A row names its score by `score_id`, or by `client_id` (or `client_code`) and `month` for incomes, with the label in `label`
    (or is_fraud, income, accepted) and optionally `output`, or in a column for each bank; `labelled_at` is optional.

    Raises:
        RefusedFile: it is no table, or lacks the columns.
    """
    engine = open_journal(settings())
    kinds: dict[str, ColumnKind] = dict.fromkeys(_TEXTS, "text")
    outcome = LabelsOutcome()
    with scratch() as folder, open_table(path, kinds=kinds, scratch=Path(folder)) as table:
        _check([column.name for column in table.columns], path.name)
        for frame in table.batches(_ROWS):
            outcome += record_labels(engine, list(labels_of(frame, path.name)))
    return outcome


def _check(columns: list[str], name: str) -> None:
    if not set(columns) & set(_KEYS):
        raise RefusedFile(f"{name} does not say which scores its labels belong to: add score_id, or client_id and month")
    if not _label_columns(columns):
        raise RefusedFile(f"{name} has no labels: name their column label, or one column for each bank as its output (bank_a, …)")


def _label_columns(columns: list[str]) -> dict[str, str | None]:
    """Columns with labels and the output they belong to; None = the one output of the score, or what `output` says."""
    single = next((name for name in _LABELS if name in columns), None)
    return {single: None} if single else {name: name for name in columns if name.startswith(_OUTPUT_PREFIX)}


def labels_of(frame: pd.DataFrame, source: str) -> Iterator[Label]:
    """The labels of the rows of a table; of a bank's empty cell there is none."""
    found = _label_columns(list(frame.columns))
    moment = now()
    for row in frame.astype("object").where(frame.notna(), None).to_dict("records"):
        key = {field: row[name] for name, field in _KEYS.items() if row.get(name)}
        for column, output in found.items():
            if output is None or row[column] is not None:
                yield Label(
                    label=_number(row[column]),
                    month=row.get("month"),
                    output=output or row.get("output"),
                    labelled_at=_moment(row.get("labelled_at"), moment),
                    source=source,
                    **key,
                )


def _number(cell: object) -> float:
    try:
        return float(str(cell))
    except ValueError:
        return math.nan


def _moment(cell: object, otherwise: datetime) -> datetime:
    return pd.Timestamp(cell).to_pydatetime().replace(tzinfo=UTC) if isinstance(cell, datetime) else otherwise


def sentence(outcome: LabelsOutcome) -> str:
    """What became of the labels, as one line."""
    return ", ".join(f"{count:,} {name}" for name, count in asdict(outcome).items())


def main(arguments: list[str]) -> int:
    """Join the file named on the command line and print what became of it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="make labels", description=__doc__)
    parser.add_argument("--file", required=True, help=LabelsRequest.model_fields["file"].description)
    try:
        print(sentence(join_file(Path(parser.parse_args(arguments).file))))
    except RefusedFile as error:
        print(f"No label joined: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    command.end(main(sys.argv[1:]))
