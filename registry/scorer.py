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

MANIFEST = "scorer.json"
REFERENCE = "reference.parquet"
_FORMAT = 1


class DamagedModel(Exception):
    """A model folder whose files are missing or are not the ones that were registered; retrain or restore it."""


@dataclass(frozen=True)
class Output:
    """One thing a Scorer predicts.

    `link` turns margins into predictions: "logit" (probability), "log" (positive amount) or "identity".
    `half_width` is the 90 % split-conformal half width in margin space, None where intervals make no sense.
    """

    name: str
    family: str
    file: str
    link: str
    half_width: float | None = None


@dataclass(frozen=True)
class Scorer:
    """A trained use case.

    Attributes:
        columns_: model inputs in order, with the vocabularies of the categories.
        outputs_: what it predicts and by which native file.
        thresholds: per output, named decision thresholds on the prediction.
        metadata: use case, time of training, lake versions read, metrics on the holdout.
        reference: features and `prediction_<output>` columns of a sample of the holdout, for drift reports.
    """

    columns_: tuple[ModelColumn, ...]
    outputs_: tuple[Output, ...]
    boosters: Mapping[str, Booster] = field(repr=False)
    thresholds: dict[str, dict[str, float]]
    metadata: dict[str, Any]
    reference: pd.DataFrame = field(repr=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the features, in the order of the matrix."""
        return tuple(column.name for column in self.columns_)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what is predicted."""
        return tuple(output.name for output in self.outputs_)

    def predict(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        """Predictions by output for feature rows; a column that is absent counts as missing."""
        matrix = encode(frame, self.columns_)
        return {output.name: inverse_link(output.link, self.boosters[output.name].margin(matrix)) for output in self.outputs_}

    def interval(self, output: str, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """90 % split-conformal bounds around predictions, in the units of the prediction.

        Source: Lei et al., Distribution-Free Predictive Inference for Regression (2018), with residuals in margin space.

        Raises:
            ValueError: the output has no interval.
        """
        spec = self._output(output)
        if spec.half_width is None:
            raise ValueError(
                f"output {output} of {self.metadata['use_case']} has no interval: it was not trained as a regression"
            )
        margins = link(spec.link, predictions)
        return inverse_link(spec.link, margins - spec.half_width), inverse_link(spec.link, margins + spec.half_width)

    def contributions(self, frame: pd.DataFrame, output: str) -> np.ndarray:
        """Exact contributions in margin space, (rows, features + 1): their sum is the margin, the last one the baseline."""
        self._output(output)
        return self.boosters[output].contributions(encode(frame, self.columns_))

    def _output(self, name: str) -> Output:
        for output in self.outputs_:
            if output.name == name:
                return output
        raise ValueError(f"no output {name}: this model predicts {', '.join(self.outputs)}")

    @staticmethod
    def load(folder: Path, sha256: str | None = None) -> "Scorer":
        """Read a scorer folder after checking every file against the hashes in its manifest.

        Args:
            folder: holds `scorer.json`, the native files and the reference sample.
            sha256: expected hash of the manifest itself, as recorded at registration.

        Raises:
            DamagedModel: a file is missing, altered or not in the manifest.
        """
        manifest = read_manifest(folder, sha256)
        columns = tuple(
            ModelColumn(column["name"], None if column["vocabulary"] is None else tuple(column["vocabulary"]))
            for column in manifest["columns"]
        )
        outputs = tuple(Output(**output) for output in manifest["outputs"])
        categorical = category_positions(columns)
        boosters = {output.name: load_booster(output.family, folder / output.file, categorical) for output in outputs}
        reference = pd.read_parquet(folder / REFERENCE)
        return Scorer(columns, outputs, boosters, manifest["thresholds"], manifest["metadata"], reference)


def category_positions(columns: tuple[ModelColumn, ...]) -> list[int]:
    """Positions of the category columns in the matrix."""
    return [index for index, column in enumerate(columns) if column.vocabulary is not None]


def link(name: str, predictions: np.ndarray) -> np.ndarray:
    """From predictions to margins."""
    if name == "identity":
        return predictions
    if name == "log":
        return np.log(np.maximum(predictions, 1e-9))
    clipped = np.clip(predictions, 1e-15, 1 - 1e-15)
    return np.log(clipped / (1 - clipped))


def inverse_link(name: str, margins: np.ndarray) -> np.ndarray:
    """From margins to predictions, in float64."""
    margins = np.asarray(margins, dtype=np.float64)
    if name == "identity":
        return margins
    if name == "log":
        return np.exp(np.minimum(margins, 60.0))
    return 1 / (1 + np.exp(-margins))


def write_manifest(
    folder: Path,
    columns: tuple[ModelColumn, ...],
    outputs: tuple[Output, ...],
    thresholds: dict[str, dict[str, float]],
    metadata: dict[str, Any],
) -> str:
    """Seal a folder that already holds the native files and the reference; returns the SHA-256 of the manifest."""
    files = [output.file for output in outputs] + [REFERENCE]
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
