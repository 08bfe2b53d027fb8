"""The folder of one search: its trials and their validation margins, from which a killed search goes on."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from training.split import Fold
from training.task import Part, TrainingTask
from training.trials import FoldResult


class Workshop:
    """Keeps the results of a search in a folder, each written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def journal(self) -> Path:
        """Optuna's journal file."""
        return self.folder / "trials.log"

    def keep(self, trial: int, fold: int, result: FoldResult) -> None:
        """Write the result of a trial on a fold; it is there in full when this returns."""
        facts = {name: getattr(result, name) for name in ("rounds", "score", "seconds", "stopped", "curve")}
        fresh = self.folder / f"{trial}-{fold}.new"
        with fresh.open("wb") as stream:
            margins = {f"margins {output}": values for output, values in result.margins.items()}
            np.savez(stream, facts=np.array(json.dumps(facts)), allow_pickle=False, **margins)  # type: ignore[arg-type]
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(self._path(trial, fold))

    def kept(self, trial: int, fold: int) -> FoldResult | None:
        """The result that an earlier run of this search left, None when it left none."""
        path = self._path(trial, fold)
        if not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as stored:
            facts = json.loads(str(stored["facts"]))
            margins = {name.removeprefix("margins "): stored[name] for name in stored.files if name.startswith("margins ")}
        curve = {output: {int(step): loss for step, loss in losses.items()} for output, losses in facts["curve"].items()}
        return FoldResult(facts["rounds"], margins, facts["score"], facts["seconds"], facts["stopped"], curve)

    def _path(self, trial: int, fold: int) -> Path:
        return self.folder / f"{trial}-{fold}.npz"


@contextmanager
def workshop(root: Path, task: TrainingTask, part: Part, folds: tuple[Fold, ...], settings: str) -> Iterator[Workshop]:
    """The folder under `root` of the search of exactly these rows with these settings, locked; removed when the search succeeds.

    A search that was killed finds what it had; two searches of the same at once take turns.
    """
    digest = hashlib.sha256(json.dumps([asdict(task), settings], sort_keys=True, default=str).encode())
    for array in (part.matrix, part.weights, *part.labels.values(), *(fold.validation for fold in folds)):
        digest.update(np.ascontiguousarray(array).data)
    folder = root / f"{task.name}-{digest.hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        folder.mkdir(exist_ok=True)
        yield Workshop(folder)
        shutil.rmtree(folder)
    folder.with_suffix(".lock").unlink(missing_ok=True)


def remove_abandoned_searches(root: Path, before: datetime) -> None:
    """Remove the folders under `root` of searches that ended before their time, unless they got a result since `before`.

    Whoever trains later learns from newer rows: nobody would go on with them, and each trial has left a margin for every row.
    """
    for folder in [each for each in root.glob("*") if each.is_dir() and each.stat().st_mtime < before.timestamp()]:
        lock = folder.with_suffix(".lock")
        try:
            with FileLock(lock, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except Timeout:  # it is under way
            continue
        lock.unlink(missing_ok=True)
