"""A file of scores, CSV or Parquet, that appears whole or not at all."""

import os
import re
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from edge import csv_text

SUFFIXES = (".csv", ".parquet")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")


class UnwritableScores(Exception):
    """The scores cannot be written where they were asked for; the message says what to do. Nothing is left there."""


class ScoreFile:
    """Takes frames of scores; the file at `path` is there when the `with` block ends without an error.

    In CSV a text that a spreadsheet would run as a formula (it begins with = + - @) gets an apostrophe before it; numbers do not.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix not in SUFFIXES:
            raise UnwritableScores(f"scores are written as CSV or Parquet, not as {path.name}: end OUT in .csv or .parquet")
        if not path.parent.is_dir() or path.is_dir():
            raise UnwritableScores(f"{path} cannot be written: give the path of a file in a folder that exists")
        self._path = path
        self._parquet: pq.ParquetWriter | None = None
        self._begun = False

    def __enter__(self) -> Self:
        try:
            descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.", suffix=".new")
        except OSError as error:
            raise UnwritableScores(f"{self._path} cannot be written ({error}): choose a folder that can") from error
        self._fresh = Path(name)
        self._stream = os.fdopen(descriptor, "wb")
        return self

    def write(self, scores: pd.DataFrame) -> None:
        """Add rows; every frame has the same columns."""
        try:
            if self._path.suffix == ".csv":
                safe = scores.apply(lambda column: column if _is_number(column) else column.map(neutral, na_action="ignore"))
                safe = safe.set_axis([neutral(name) for name in scores.columns], axis=1)
                safe.to_csv(self._stream, index=False, header=not self._begun, encoding="utf-8", lineterminator="\n")
            else:
                rows = pa.Table.from_pandas(scores, preserve_index=False)
                if self._parquet is None:
                    self._parquet = pq.ParquetWriter(self._stream, rows.schema)
                self._parquet.write_table(rows.cast(self._parquet.schema))
        except OSError as error:
            raise UnwritableScores(f"{self._path} cannot be written ({error}): make room and score again") from error
        self._begun = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._publish()
        except OSError as full:
            raise UnwritableScores(f"{self._path} cannot be written ({full}): make room and score again") from full
        finally:
            self._stream.close()
            self._fresh.unlink(missing_ok=True)

    def _publish(self) -> None:
        if self._parquet is not None:
            self._parquet.close()
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._fresh.chmod(0o644)
        self._fresh.replace(self._path)


def neutral(text: Any) -> str:
    """The text, with an apostrophe where a spreadsheet would take it, or a part of it, for a formula; numbers as they are."""
    cell = str(text)
    return cell if _NUMBER.fullmatch(cell) else csv_text.neutral(cell)


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column.dtype)
