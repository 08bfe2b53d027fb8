"""The flow that trains a model on a table of the user's own; also `python -m flows.train_table`, which is `make train`."""

import argparse
import csv
import sys
import time
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from features.refusals import RefusedFile
from flows.addresses import use_running_server
from flows.command import Command
from training.own_request import TableRequest
from training.task import NotTrainable

if __name__ == "__main__":
    command = Command()
    use_running_server()  # Prefect reads the server's address when it is imported

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact

from flows.full_disk import full_disk_told
from flows.refusing import refusing
from flows.registration import RegisteredVersion, champion_of, fit_and_register
from flows.scratch import scratch
from registry.judgement import figure
from training.candidates import Budget
from training.own_scores import class_threshold
from training.own_table import OwnTable, read_own_table

LISTS = ("drop", "names", "protected")
_HEAD = 5
_LEAST_SEARCHING = 0.5
"""Share of the seconds that the search has at least, however long reading took: a model of a few trees helps nobody."""


@flow(name="train-table", validate_parameters=True, flow_run_name="train {request.name}")
@refusing(RefusedFile, NotTrainable)
def train_table(request: TableRequest) -> RegisteredVersion:
    """Read the table, look for leaks, then search, fit, register and gate; what is suspicious is an artifact of the run."""
    with full_disk_told():
        champion = champion_of(request.name)
        started = time.monotonic()
        with scratch() as folder:
            own = read_own_table(request, Path(folder), champion.scorer.metadata.get("table") if champion else None)
        _tell(request, own)
        left = time_to_search(request.seconds, time.monotonic() - started)
        params = request.model_dump(mode="json")
        thresholds = class_threshold if request.kind == "binary" else None
        return fit_and_register(own.task, own.frame, Budget(request.trials, left), request.seed, params, thresholds)


def time_to_search(asked: float, read: float) -> float:
    """Seconds for the search out of those asked for, when reading the table took `read` of them."""
    return max(_LEAST_SEARCHING * asked, asked - read)


def _tell(request: TableRequest, own: OwnTable) -> None:
    """Say loudly what a careful person would ask about."""
    logger = get_run_logger()
    logger.info("%s: %d rows, %d features from %s", request.name, len(own.frame), len(own.task.features), request.table)
    for note in own.notes:
        logger.warning("%s: %s", request.name, note)
    rows = []
    for suspect in own.suspects:
        action = "used" if suspect.column in own.task.features else "left out"
        logger.warning("%s: %s: %s", request.name, suspect.sentence, action)
        rows.append({"column": suspect.column, "why": suspect.looks_like, "score": suspect.score, "action": action})
    create_table_artifact(
        key=f"suspects-{request.name.lower()}",
        table=rows,
        description=f"Columns of {request.table} to look at before the model is trusted. {_ADVICE}" if rows else "No suspects.",
    )


_ADVICE = "Leave them out with DROP=column,… or all of the leaks and ids with DROP_SUSPECTS=yes."


def parse(arguments: list[str]) -> TableRequest:
    """The request on the command line; options that are given empty count as not given.

    Raises:
        ValidationError: a value that the request does not allow.
    """
    parser = argparse.ArgumentParser(prog="make train", description=__doc__)
    for name, field in TableRequest.model_fields.items():
        parser.add_argument(f"--{name.replace('_', '-')}", default="", required=field.is_required(), help=field.description)
    given: dict[str, Any] = {name: text for name, text in vars(parser.parse_args(arguments)).items() if text}
    for name in LISTS:
        if name in given:
            given[name] = listed(given[name])
    if "monotone" in given:
        given["monotone"] = dict(_direction(pair) for pair in listed(given["monotone"]))
    return TableRequest(**given)


def _direction(pair: str) -> tuple[str, int | str]:
    name, _, sign = pair.rpartition("=")
    return name or sign, {"1": 1, "-1": -1}.get(sign.strip(), sign)


def listed(text: str) -> list[str]:
    """The names in a list with commas; a name with a comma in it stands in quotation marks."""
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True)) if name.strip()]


def faults(error: ValidationError) -> list[str]:
    """What is wrong with a request, one line each."""
    return [": ".join(filter(None, (".".join(map(str, one["loc"])), one["msg"]))) for one in error.errors()]


def main(arguments: list[str]) -> int:
    """Train what the command line asks for and print what came of it; returns the exit status."""
    try:
        request = parse(arguments)
        result = train_table(request)
    except ValidationError as error:
        print(*faults(error), sep="\n", file=sys.stderr)
        return 2
    except (RefusedFile, NotTrainable) as error:
        print(f"Not trained: {error}", file=sys.stderr)
        return 1
    print(f"\n{result.name} version {result.version}: {result.reason}\n\nBest trials:")
    for row in result.leaderboard[:_HEAD]:
        print(f"  {row['validation'] or '':<10} {row['family']:<10} {row['rounds']:<8} {row['parameters']}")
    print("\nOn rows that nothing was fitted on:")
    for name, value in sorted(result.metrics.items()):
        print(f"  {name:<40} {figure(value)}")
    print(f"\n{result.url}", flush=True)
    return 0


if __name__ == "__main__":
    command.end(main(sys.argv[1:]))
