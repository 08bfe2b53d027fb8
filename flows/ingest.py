"""The flow that brings files into the lake; also `python -m flows.ingest --table transactions --file purchases.csv`."""

import argparse
import sys
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from pydantic import BaseModel, ConfigDict, Field

from features.code_lists import TableName
from features.lake import open_lake
from features.refusals import RefusedFile, UnwritableLake
from features.summary import IngestSummary
from features.tables import TABLES
from flows.refusing import refusing
from settings import settings


class IngestRequest(BaseModel):
    """Which file goes into which table."""

    model_config = ConfigDict(extra="forbid")

    table: TableName = Field(description="The raw table.")
    path: str = Field(min_length=1, description="A CSV or Parquet file, or a folder of part files, on the server's disk.")


@flow(name="ingest", validate_parameters=True, flow_run_name="ingest {request.table}")
@refusing(RefusedFile, UnwritableLake)
def ingest(request: IngestRequest) -> list[IngestSummary]:
    """Ingest a file, or the part files of a folder in order of name; the summary is an artifact of the run.

    A refused file fails the run with the reason; part files before it have landed and are passed over when it is sent again.
    """
    lake = open_lake(settings())
    logger = get_run_logger()
    summaries: list[IngestSummary] = []
    try:
        for path in files_at(request.path):
            summary = lake.ingest(TABLES[request.table], path)
            logger.info("%s", sentence(summary))
            summaries.append(summary)
    finally:
        create_table_artifact(
            key=f"ingest-{request.table.replace('_', '-')}",
            table=[row for summary in summaries for row in summary.rows()],
            description=f"What became of the rows of {request.path}",
        )
    return summaries


def files_at(path: str) -> list[Path]:
    """The file at `path`, or the CSV and Parquet files in the folder there, in order of name.

    Raises:
        RefusedFile: nothing is there.
    """
    place = Path(path)
    found = [place] if place.is_file() else sorted(file for file in place.glob("*") if file.suffix in {".csv", ".parquet"})
    if not found:
        raise RefusedFile(f"there is no CSV or Parquet file at {place}: give the path of a file, or of a folder with part files")
    return found


def sentence(summary: IngestSummary) -> str:
    """A summary as one line."""
    if summary.already_ingested:
        return f"{summary.file} was already ingested as version {summary.version} of {summary.table}; nothing changed"
    rules = ", ".join(f"{rule}: {count}" for rule, count in summary.quarantined.items())
    ignored = f"; ignored columns: {', '.join(summary.ignored_columns)}" if summary.ignored_columns else ""
    return (
        f"{summary.file} ({summary.dialect}) is version {summary.version} of {summary.table}: read {summary.read}, "
        f"landed {summary.landed}, quarantined {summary.read - summary.landed}{f' ({rules})' if rules else ''}{ignored}"
    )


def main() -> int:
    """Ingest the file named on the command line and print what became of it."""
    parser = argparse.ArgumentParser(prog="make ingest", description=__doc__)
    parser.add_argument("--table", required=True, choices=sorted(TABLES))
    parser.add_argument("--file", required=True, help="CSV or Parquet file, or a folder of part files")
    arguments = parser.parse_args()
    lake = open_lake(settings())
    try:
        for path in files_at(arguments.file):
            print(sentence(lake.ingest(TABLES[arguments.table], path)))
    except (RefusedFile, UnwritableLake) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
