"""Any table of one's own, CSV of any dialect or Parquet, as a pandas frame with the right types: `open_table(path).frame()`."""

import contextlib
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from features.refusals import RefusedFile, UnreadableFile
from features.wording import plural
from training.table_columns import Column, ColumnKind, learn_columns
from training.table_file import MISSING, TableFile, open_file

_REJECTS = 100_000
_BATCH = 50_000
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
"""How pandas names the row numbers of a frame that it writes as Parquet after rows were left out: no column of anybody's."""
_DTYPES = {"number": "float64", "date": "datetime64[us]"}
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "BOOLEAN")
_MOMENTS = ("DATE", "TIMESTAMP")


@dataclass(frozen=True)
class OpenTable:
    """A table whose columns are known; its rows are read when they are asked for.

    Attributes:
        name: of the file.
        form: its encoding and delimiter, in words.
        sha256: of its unpacked content.
        rows: how many there are.
        columns: what each holds; nameless empty ones and the row numbers of pandas are left out.
        repeated: rows that were the header once more, as where exports were put together; they are left out.
    """

    name: str
    form: str
    sha256: str
    rows: int
    columns: tuple[Column, ...]
    positions: tuple[int, ...]
    cells: DuckDBPyRelation
    repeated: int = 0

    def notes(self, without: Collection[str] = ()) -> list[str]:
        """What a user should know about how it was read, without any value of a row."""
        told = {column.name: column.note for column in self.columns if column.name not in without}
        again = plural(self.repeated, "row repeats the header and is", "rows repeat the header and are")
        return [*([f"{again} left out"] if self.repeated else []), *(note for note in told.values() if note)]

    def frame(self, without: Collection[str] = ()) -> pd.DataFrame:
        """All rows in order: numbers as float64, dates as datetime64, text as str; missing as NaN or NaT.

        Numbers go straight to their place, so that no second copy of the table is ever in memory.
        """
        kept = [column for column in self.columns if column.name not in without]
        filled: dict[str, Any] = {
            column.name: [] if column.kind == "text" else np.empty(self.rows, _DTYPES[column.kind]) for column in kept
        }
        done = 0
        with _explained(self.name):
            for batch in self._values(without).to_arrow_reader(_BATCH):
                for column, values in zip(kept, batch.columns, strict=True):
                    if column.kind == "text":
                        filled[column.name].append(values.dictionary_encode())  # a plain slice would keep the whole batch alive
                    else:
                        filled[column.name][done : done + batch.num_rows] = values.to_numpy(zero_copy_only=False)
                done += batch.num_rows
        for column in kept:
            if column.kind == "text":
                chunks = [values.cast(pa.string()) for values in filled[column.name]]
                filled[column.name] = pa.chunked_array(chunks, pa.string()).to_pandas()
        return pd.DataFrame(filled, copy=False)

    def batches(self, rows: int) -> Iterator[pd.DataFrame]:
        """The same in frames of about `rows` rows."""
        with _explained(self.name):
            for batch in self._values(()).to_arrow_reader(rows):
                yield batch.to_pandas().set_axis([column.name for column in self.columns], axis=1)

    def _values(self, without: Collection[str]) -> DuckDBPyRelation:
        wanted = zip(self.columns, self.positions, strict=True)
        texts = [f"{column.expression(f'c{at}')} AS c{at}" for column, at in wanted if column.name not in without]
        return self.cells.project(", ".join(texts))


@contextlib.contextmanager
def open_table(
    path: Path,
    names: Sequence[str] = (),
    kinds: Mapping[str, ColumnKind] | None = None,
    scratch: Path | None = None,
    written: Mapping[str, str] | None = None,
) -> Iterator[OpenTable]:
    """Look at every row of the table at `path` once, in bounded memory, and say what its columns hold.

    Args:
        path: CSV (any encoding, delimiter, decimal separator and dates; also gzipped) or Parquet.
        names: of the columns of a CSV file without a header line, in order.
        kinds: of columns that are known to be numbers, dates or text.
        scratch: folder for an unpacked copy, where one is needed.
        written: `Column.form` of columns in an earlier table like this one, for where its cells can be read in two ways.

    Raises:
        RefusedFile: no header, no rows, duplicate columns, rows of a wrong length. UnreadableFile: not a table.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as folder, duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        try:
            file = open_file(path, Path(folder), tuple(names))
        except OSError as error:
            raise UnreadableFile(
                f"{path.name} cannot be read ({error.strerror}): it must be there and readable, and {folder} have room for "
                "a copy in UTF-8"
            ) from error
        with _explained(path.name):
            cells, stored = _cells(connection, file)
            cells, repeated = _without_headers(cells, file.header) if file.skip_first else (cells, 0)
            named = tuple(name or f"column_{index + 1}" for index, name in enumerate(file.header))
            rows, columns = learn_columns(cells, named, stored, kinds or {}, written or {}, file.delimiter == ",")
        if file.delimiter is not None:
            _refuse_ragged(connection, path.name, len(named))
        kept = [
            index
            for index, name in enumerate(file.header)
            if (name or columns[index].given) and not _PANDAS_INDEX.fullmatch(name)
        ]
        known = tuple(columns[index] for index in kept)
        yield OpenTable(path.name, file.form, file.sha256, rows, known, tuple(kept), cells, repeated)


def _cells(connection: DuckDBPyConnection, file: TableFile) -> tuple[DuckDBPyRelation, dict[str, ColumnKind]]:
    """The columns as c0, c1, … with null for cells that say nothing, and the kinds of those stored with a type."""
    missing = [*MISSING, *(f" {token}" for token in MISSING)]
    if file.delimiter is not None:
        columns = {f"c{index}": "VARCHAR" for index in range(len(file.header))}
        return _csv(connection, file, columns, missing), {}
    relation = connection.read_parquet(str(file.path))
    stored: dict[str, ColumnKind] = {}
    expressions = []
    for index, (name, dtype) in enumerate(zip(file.header, relation.types, strict=True)):
        kind = _kind(str(dtype))
        if kind is None:
            tokens = ", ".join(f"'{token}'" for token in missing)
            expressions.append(f"CASE WHEN #{index + 1}::VARCHAR NOT IN ({tokens}) THEN #{index + 1}::VARCHAR END AS c{index}")
        else:
            stored[name] = kind
            expressions.append(f"{_stored(index, kind)} AS c{index}")
    return relation.project(", ".join(expressions)), stored


def _csv(connection: DuckDBPyConnection, file: TableFile, columns: dict[str, str], missing: list[str]) -> DuckDBPyRelation:
    return connection.read_csv(
        str(file.path),
        columns=columns,
        auto_detect=False,
        header=file.skip_first,
        sep=file.delimiter,
        quotechar='"',
        escapechar='"',
        strict_mode=True,
        null_padding=False,
        na_values=missing,
        store_rejects=True,
        rejects_limit=_REJECTS,
    )


def _without_headers(cells: DuckDBPyRelation, header: Sequence[str]) -> tuple[DuckDBPyRelation, int]:
    """The rows that are not the header once more, and how many are."""
    names = {index: name.replace("'", "''") for index, name in enumerate(header) if name not in MISSING}
    same = " AND ".join(f"trim(c{index}) = '{name}'" for index, name in names.items()) or "false"
    repeated = int(cells.filter(same).aggregate("count(*)").fetchall()[0][0])
    return (cells.filter(f"NOT coalesce({same}, false)") if repeated else cells), repeated


def _kind(dtype: str) -> ColumnKind | None:
    if dtype.removeprefix("U").startswith(_NUMBERS) and not dtype.endswith("]"):
        return "number"
    return "date" if dtype.startswith(_MOMENTS) and not dtype.endswith("]") else None


def _stored(index: int, kind: ColumnKind) -> str:
    """A number without NaN; a moment in UTC."""
    if kind == "number":
        return f"CASE WHEN NOT isnan(#{index + 1}::DOUBLE) THEN #{index + 1} END"
    return f"#{index + 1}::TIMESTAMP"


def _refuse_ragged(connection: DuckDBPyConnection, name: str, width: int) -> None:
    count, first = connection.table("reject_errors").aggregate("count(DISTINCT line), min(line)").fetchall()[0]
    if count:
        over, rows = "over " if count >= _REJECTS else "", plural(count, "row does", "rows do")
        lines = "error_type::VARCHAR AS kind, count(DISTINCT line) AS n"  # each pass over the table has rejected them
        kinds = connection.table("reject_errors").aggregate(lines, "kind").fetchall()
        named = ", ".join(f"{kind.lower()} {number:,}" for kind, number in sorted(kinds))
        raise RefusedFile(
            f"{name}: {over}{rows} not have the {width} fields of the header "
            f"({named}; the first is line {first}): repair the export"
        )


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    """What the engine cannot read becomes an error of the file."""
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        raise UnreadableFile(f"{name} cannot be read as a table ({str(error).splitlines()[0]}): export it again") from error
