"""Golden rows: what a version predicted when it was made, and so has to predict wherever it is going to serve."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

from registry.boosters import load_booster
from registry.encoding import ModelColumn
from registry.outputs import Output
from registry.scorer import GOLDEN, MANIFEST, REFERENCE, DamagedModel, Scorer, category_positions

ROWS = 32
_RELATIVE, _ABSOLUTE = 1e-5, 1e-9
"""Room for another processor's float32 sums; another model, library behaviour or encoding is far outside of it."""


class OtherOutputs(Exception):
    """A version predicts something else here than where it was made: it must not serve on this machine."""


@dataclass(frozen=True)
class Golden:
    """Rows as a service builds them, and what was recorded for them.

    Attributes:
        rows: a mapping of every model column to a number, a text or None; at most `ROWS`.
        outputs: recorded figures by name, each (rows,): "<output>", "<output>_<class>", "<output> low" and "<output> high".
    """

    rows: tuple[Mapping[str, Any], ...]
    outputs: Mapping[str, np.ndarray]

    @property
    def frame(self) -> pd.DataFrame:
        """The rows as a Scorer takes them."""
        return pd.DataFrame.from_records(list(self.rows))


def write_golden(folder: Path, columns: tuple[ModelColumn, ...], outputs: tuple[Output, ...]) -> None:
    """Score rows of the reference with the native files in `folder` and keep both there as `golden.json`.

    Called before `write_manifest`, which covers the file with its hash. The rows are spread evenly over the reference; every
    second one lacks what rows may lack that have a calibration of their own.
    """
    reference = pd.read_parquet(folder / REFERENCE)
    places = np.unique(np.linspace(0, len(reference) - 1, ROWS).round().astype(int))
    rows = [_row(record, columns) for record in reference.iloc[places].to_dict("records")]
    absent = {columns[position].name for output in outputs if output.lacking for position in output.lacking.columns}
    rows[::2] = [row | dict.fromkeys(absent) for row in rows[::2]]
    categorical = category_positions(columns)
    boosters = {
        member.file: load_booster(member.family, folder / member.file, categorical)
        for output in outputs
        for member in output.every_member
    }
    scorer = Scorer(columns, outputs, boosters, {}, {}, reference)
    recorded = {name: values.tolist() for name, values in _figures(scorer, pd.DataFrame.from_records(rows))}
    (folder / GOLDEN).write_bytes(orjson.dumps({"rows": rows, "outputs": recorded}))


def read_golden(folder: Path) -> Golden:
    """The golden rows of a scorer folder whose files have been checked against its manifest.

    Raises:
        DamagedModel: the version was made without, or its manifest does not cover them.
    """
    if GOLDEN not in orjson.loads((folder / MANIFEST).read_bytes())["files"]:
        raise DamagedModel(f"{folder} has no {GOLDEN}: nothing says what this version has to predict, so train it again")
    stored = orjson.loads((folder / GOLDEN).read_bytes())
    return Golden(tuple(stored["rows"]), {name: np.asarray(values, float) for name, values in stored["outputs"].items()})


def compare(scorer: Scorer, golden: Golden) -> None:
    """Score the golden rows together and one by one, which also warms every path, and compare with what was recorded.

    Raises:
        OtherOutputs: a figure is further off than rounding explains.
    """
    frame = golden.frame
    _agree(dict(_figures(scorer, frame)), golden.outputs, slice(None))
    for place in range(len(frame)):
        _agree(dict(_figures(scorer, frame.iloc[[place]])), golden.outputs, slice(place, place + 1))


def _agree(found: Mapping[str, np.ndarray], recorded: Mapping[str, np.ndarray], rows: slice) -> None:
    if found.keys() != recorded.keys():
        raise OtherOutputs(f"it predicts {', '.join(found)}; recorded are {', '.join(recorded)}: train it again")
    for name, values in found.items():
        wanted = recorded[name][rows]
        off = ~np.isclose(values, wanted, rtol=_RELATIVE, atol=_ABSOLUTE)
        if off.any():
            first = int(np.argmax(off))
            raise OtherOutputs(
                f"{name} of golden row {(rows.start or 0) + first} is {values[first]:g} here and was {wanted[first]:g} when the "
                f"version was made ({int(off.sum())} of {len(off)} differ): compare the library versions with requirements.lock"
            )


def _figures(scorer: Scorer, frame: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    for name, values in scorer.table(frame).items():
        yield str(name), values.to_numpy(dtype=float)
    for output in scorer.outputs_:
        if output.interval is not None:
            low, high = scorer.interval(output.name, frame)
            yield f"{output.name} low", low
            yield f"{output.name} high", high


def _row(record: Mapping[Any, Any], columns: tuple[ModelColumn, ...]) -> dict[str, Any]:
    return {column.name: _plain(record.get(column.name), column) for column in columns}


def _plain(value: Any, column: ModelColumn) -> float | str | None:
    if value is None or pd.isna(value):
        return None
    return float(value) if column.vocabulary is None else str(value)
