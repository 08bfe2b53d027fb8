"""Building a version again from what its manifest records, and comparing the two byte by byte."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from registry.outputs import read_output
from registry.scorer import MANIFEST, read_manifest
from training.fit import Plan, build
from training.split import split
from training.task import TrainingTask
from training.thresholds import Thresholds

_OF_THE_DAY = ("trained_at",)
"""What differs between two trainings of the same."""
_IN_WORDS = ("notes", "suspects", "written")
"""What a version says of its table for people, or of how it was written: another release may say the same otherwise, or more."""


@dataclass(frozen=True)
class Finding:
    """One file or entry of the manifest, and whether both versions have it alike."""

    what: str
    same: bool


def rebuild(
    task: TrainingTask, frame: pd.DataFrame, metadata: dict[str, Any], folder: Path, thresholds: Thresholds | None
) -> None:
    """Write into the empty `folder` the scorer that `metadata` of a version describes, from the rows it was trained on."""
    seed = int(metadata["seed"])
    build(task, split(task, frame, seed), Plan.read(metadata["plan"]), folder, seed, thresholds)


def compare(original: Path, again: Path) -> list[Finding]:
    """Every native file, the reference and what the manifest says, each of two scorer folders against the other."""
    first, second = read_manifest(original), read_manifest(again)
    names = sorted({*first["files"], *second["files"]})
    findings = [Finding(name, first["files"].get(name) == second["files"].get(name)) for name in names]
    parts = [Finding(f"{MANIFEST}: {part}", first[part] == second[part]) for part in ("columns", "thresholds")]
    # As they are read: an older release may have written the same in other words.
    outputs = [[read_output(output) for output in manifest["outputs"]] for manifest in (first, second)]
    lasting = Finding(f"{MANIFEST}: metadata", _lasting(first["metadata"]) == _lasting(second["metadata"]))
    return [*findings, *parts, Finding(f"{MANIFEST}: outputs", outputs[0] == outputs[1]), lasting]


def _lasting(metadata: dict[str, Any]) -> str:
    table = {name: value for name, value in metadata.get("table", {}).items() if name not in _IN_WORDS}
    lasting = {name: value for name, value in metadata.items() if name not in _OF_THE_DAY}
    return json.dumps({**lasting, "table": table}, sort_keys=True)
