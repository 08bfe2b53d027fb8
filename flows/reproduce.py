"""`make reproduce VERSION=income/3`: train a registered version again from what it records, and compare the bytes."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from flows.command import Command

if __name__ == "__main__":
    command = Command()

import pandas as pd
from mlflow.exceptions import MlflowException

from features.lake import open_lake
from features.refusals import RefusedFile
from registry import models
from registry.scorer import DamagedModel, Scorer
from settings import learned_with, recordable, settings
from training.own_request import TableRequest
from training.own_scores import class_threshold
from training.own_table import read_own_table
from training.reproduce import Finding, compare, rebuild
from training.task import NotTrainable, TrainingTask
from training.thresholds import Thresholds
from training.use_cases import USE_CASES, recorded


def reproduce(name: str, version: str) -> tuple[list[Finding], list[str]]:
    """Build a version again, with the settings that it records; of each of its files whether it came out the same, and notes.

    Raises:
        NotTrainable: the rows that it was trained on are not there any more.
        DamagedModel: the registered files are not the ones that were registered.
    """
    folder = models.download(models.client().get_model_version(name, version), settings())
    scorer = models.load_version(name, version).scorer
    told = _notes(name, scorer.metadata)
    with tempfile.TemporaryDirectory() as scratch, learned_with(scorer.metadata.get("settings", {})):
        task, frame, thresholds = _rows(name, scorer, Path(scratch))
        again = Path(scratch) / "again"
        again.mkdir()
        rebuild(task, frame, scorer.metadata, again, thresholds)
        return compare(folder, again), told


def _rows(name: str, scorer: Scorer, scratch: Path) -> tuple[TrainingTask, pd.DataFrame, Thresholds | None]:
    if name in USE_CASES:
        task, frame = recorded(name, scorer.outputs, open_lake(settings()), scorer.metadata)
        return task, frame, USE_CASES[name].thresholds
    form = scorer.metadata["table"]
    request = TableRequest(**form["request"])
    own = read_own_table(request, scratch)
    if own.task.table["sha256"] != form["sha256"]:
        raise NotTrainable(f"{request.table} is not the file that {name} was trained on (SHA-256 differs): put that one back")
    return own.task, own.frame, class_threshold if request.kind == "binary" else None


def _notes(name: str, metadata: dict[str, Any]) -> list[str]:
    """What a version of the bank's own models records of settings and is otherwise today; or that it records none."""
    if name not in USE_CASES:
        return []
    if "settings" not in metadata:
        return ["the version records no settings, as older ones do not: today's are taken"]
    today = recordable()
    return [
        f"OPORA_{setting.upper()} is as recorded, {value}; today it is {today[setting]}"
        for setting, value in metadata["settings"].items()
        if today[setting] != value
    ]


def main(text: str) -> int:
    """Print what came out the same and what did not; returns the exit status."""
    name, _, version = text.partition("/")
    if not name or not version.isdigit():
        print(f"{text!r} names no version: write VERSION=income/3", file=sys.stderr)
        return 2
    try:
        findings, told = reproduce(name, version)
    except MlflowException as error:
        print(f"{text} is not registered: {error.message}", file=sys.stderr)
        return 1
    except (NotTrainable, DamagedModel, RefusedFile) as error:
        print(f"Not reproduced: {error}", file=sys.stderr)
        return 1
    for note in told:
        print(f"  Note: {note}")
    for finding in findings:
        print(f"  {'same' if finding.same else 'DIFFERENT':<10} {finding.what}")
    same = all(finding.same for finding in findings)
    print(f"{text} {'is reproduced to the byte' if same else 'is NOT reproduced: another library or thread count?'}")
    return 0 if same else 1


if __name__ == "__main__":
    command.end(main(sys.argv[1] if len(sys.argv) > 1 else ""))
