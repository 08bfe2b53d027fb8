"""The Scorer: everything a use case needs to score rows, as native booster files and JSON. Nothing in it is pickled."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from registry.boosters import Booster, load_booster
from registry.encoding import ModelColumn, encode
from registry.outputs import Member, Output, inverse_link, read_output

MANIFEST = "scorer.json"
REFERENCE = "reference.parquet"
CALIBRATION = "calibration.parquet"
CLUSTER = "row_cluster"
"""Column of these samples: equal numbers are rows of one client, whose errors are alike. Only where rows have clients."""
GOLDEN = "golden.json"
_FORMAT = 2


class DamagedModel(Exception):
    """A model folder whose files are missing or are not the ones that were registered; retrain or restore it."""


@dataclass(frozen=True)
class Scorer:
    """A trained use case.

    Attributes:
        columns_: model inputs in order, with the vocabularies of the categories.
        outputs_: what it predicts and by which blend of native files.
        boosters: the loaded native files by name.
        thresholds: per output, named decision thresholds on the prediction.
        metadata: use case, time of training, lake versions read, metrics on the holdout.
        reference: features, `prediction_<output>` and `label_<output>` columns of a sample of the holdout, for monitoring.
        calibration: the same columns of a sample of the rows that probabilities were calibrated on; None of amounts and classes.
    """

    columns_: tuple[ModelColumn, ...]
    outputs_: tuple[Output, ...]
    boosters: Mapping[str, Booster] = field(repr=False)
    thresholds: dict[str, dict[str, float]]
    metadata: dict[str, Any]
    reference: pd.DataFrame = field(repr=False)
    calibration: pd.DataFrame | None = field(default=None, repr=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the features, in the order of the matrix."""
        return tuple(column.name for column in self.columns_)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what is predicted."""
        return tuple(output.name for output in self.outputs_)

    def predict(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        """Predictions by output for feature rows, shape (rows,) or (rows, classes); a column that is absent counts as missing.

        Probabilities are calibrated where calibration was worth it.
        """
        matrix = encode(frame, self.columns_)
        return {output.name: output.predictions(self._blend(output.members, matrix), matrix) for output in self.outputs_}

    def margins(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        """What the blends give before link and calibration, by output, shape (rows,) or (rows, classes)."""
        matrix = encode(frame, self.columns_)
        return {output.name: self._blend(output.members, matrix) for output in self.outputs_}

    def table(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Predictions as columns: one per output, `<output>_<class>` for classes."""
        columns: dict[str, np.ndarray] = {}
        predictions = self.predict(frame)
        for output in self.outputs_:
            values = predictions[output.name]
            if output.classes:
                columns |= {f"{output.name}_{name}": values[:, index] for index, name in enumerate(output.classes)}
            else:
                columns[output.name] = values
        return pd.DataFrame(columns, index=frame.index)

    def interval(self, output: str, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of the 90 % interval for each row, in the units of the prediction (see `registry.outputs.Interval`).

        Raises:
            ValueError: the output has no interval.
        """
        spec = self._output(output)
        interval = spec.interval
        if interval is None:
            raise ValueError(
                f"output {output} of {self.metadata['use_case']} has no interval: it was not trained as a regression"
            )
        matrix = encode(frame, self.columns_)
        margin = self._blend(spec.members, matrix)
        correction = np.asarray(interval.corrections)[interval.segments(inverse_link(spec.link, margin))]
        low = np.minimum(self._blend((interval.low,), matrix) - correction, margin)
        high = np.maximum(self._blend((interval.high,), matrix) + correction, margin)
        return inverse_link(spec.link, low), inverse_link(spec.link, high)

    def contributions(self, frame: pd.DataFrame, output: str) -> np.ndarray:
        """Exact contributions in margin space: their sum over the last axis is the margin, the last one the baseline.

        Of a blend they are the weighted sums of its members' contributions (the Shapley value is linear). What XGBoost loses by
        adding up in float32 goes into the baseline.

        Returns:
            Shape (rows, features + 1), for classes (rows, classes, features + 1).
        """
        matrix, members = encode(frame, self.columns_), self._output(output).members
        parts = [
            member.weight * np.asarray(self.boosters[member.file].contributions(matrix), dtype=np.float64) for member in members
        ]
        total = np.sum(parts, axis=0)
        total[..., -1] += self._blend(members, matrix) - total.sum(axis=-1)
        return total

    def _blend(self, members: tuple[Member, ...], matrix: np.ndarray) -> np.ndarray:
        parts = [member.weight * np.asarray(self.boosters[member.file].margin(matrix), dtype=np.float64) for member in members]
        return np.sum(parts, axis=0)

    def _output(self, name: str) -> Output:
        for output in self.outputs_:
            if output.name == name:
                return output
        raise ValueError(f"no output {name}: this model predicts {', '.join(self.outputs)}")

    @staticmethod
    def load(folder: Path, sha256: str | None = None) -> "Scorer":
        """Read a scorer folder after checking every file against the hashes in its manifest.

        Args:
            folder: holds `scorer.json`, the native files and the samples.
            sha256: expected hash of the manifest itself, as recorded at registration.

        Raises:
            DamagedModel: a file is missing, altered or not in the manifest.
        """
        manifest = read_manifest(folder, sha256)
        columns = tuple(
            ModelColumn(column["name"], None if column["vocabulary"] is None else tuple(column["vocabulary"]))
            for column in manifest["columns"]
        )
        outputs = tuple(read_output(output) for output in manifest["outputs"])
        categorical = category_positions(columns)
        boosters = {
            member.file: load_booster(member.family, folder / member.file, categorical)
            for output in outputs
            for member in output.every_member
        }
        reference = pd.read_parquet(folder / REFERENCE)
        calibration = pd.read_parquet(folder / CALIBRATION) if CALIBRATION in manifest["files"] else None
        return Scorer(columns, outputs, boosters, manifest["thresholds"], manifest["metadata"], reference, calibration)


def category_positions(columns: tuple[ModelColumn, ...]) -> list[int]:
    """Positions of the category columns in the matrix."""
    return [index for index, column in enumerate(columns) if column.vocabulary is not None]


def write_manifest(
    folder: Path,
    columns: tuple[ModelColumn, ...],
    outputs: tuple[Output, ...],
    thresholds: dict[str, dict[str, float]],
    metadata: dict[str, Any],
) -> str:
    """Seal a folder that already holds the native files, the samples and the golden rows; returns the manifest's SHA-256."""
    files = [member.file for output in outputs for member in output.every_member] + [REFERENCE]
    # Only probabilities have calibration rows; a version without golden rows can be judged and yet not serve.
    files += [name for name in (CALIBRATION, GOLDEN) if (folder / name).is_file()]
    manifest = {
        "format": _FORMAT,
        "columns": [asdict(column) for column in columns],
        "outputs": [asdict(output) for output in outputs],
        "thresholds": thresholds,
        "metadata": metadata,
        "files": {name: _sha256(folder / name) for name in files},
    }
    text = json.dumps(manifest, ensure_ascii=False, indent=1, sort_keys=True)
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(folder: Path, sha256: str | None = None) -> dict[str, Any]:
    """The manifest of a scorer folder, after the checks that `Scorer.load` promises."""
    path = folder / MANIFEST
    if not path.is_file():
        raise DamagedModel(f"{folder} holds no {MANIFEST}: it is not a scorer, or its download was cut short")
    if sha256 is not None and _sha256(path) != sha256:
        raise DamagedModel(f"{path} is not the manifest that was registered (SHA-256 differs): restore it or retrain")
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if manifest.get("format") != _FORMAT:
        raise DamagedModel(f"{path} has format {manifest.get('format')}, this release reads {_FORMAT}: retrain the model")
    for name, expected in manifest["files"].items():
        file = folder / name
        if file.parent != folder or not file.is_file() or _sha256(file) != expected:
            raise DamagedModel(f"{file} is missing or altered (SHA-256 differs from the manifest): restore it or retrain")
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
