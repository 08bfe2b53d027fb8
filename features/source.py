"""From a file to a DuckDB view with the columns of its raw table as text, null where the file says nothing."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from features.dialect import Dialect, detect_dialect
from features.fingerprint import Fingerprint
from features.raw_table import RawTable
from features.refusals import RefusedFile, UnreadableFile

TEXTS = "ingest_texts"
"""Name of the view that `create_view` makes."""
REJECTS_LIMIT = 1_000_000
"""Most lines with a wrong shape that are recorded; a file with more is refused."""


@dataclass(frozen=True)
class Source:
    """A table file ready to be read: UTF-8 CSV, or Parquet (dialect None).

    `header` names the columns of the file in order; `ignored` those that the table does not have.
    """

    name: str
    path: Path
    dialect: Dialect | None
    header: list[str]
    ignored: tuple[str, ...]


def open_source(table: RawTable, path: Path, print_: Fingerprint, folder: Path) -> Source:
    """Make the file at `path` readable (a tidy copy in `folder` where it must be) and check its columns.

    Raises:
        RefusedFile: columns are missing or given twice. UnreadableFile: not a table.
    """
    dialect: Dialect | None = None
    readable = path
    if print_.encoding is None:
        header = _parquet_header(path)
    else:
        if print_.uneven or not print_.unicode:
            readable = _tidy_copy(path, print_, folder)
        dialect, header = detect_dialect(table, readable, print_.encoding)
    known = [column.name for column in table.columns]
    _check_columns(table, header, path.name)
    ignored = tuple(name or f"column {index + 1}" for index, name in enumerate(header) if name not in known)
    return Source(path.name, readable, dialect, header, ignored)


def create_view(connection: Backend, table: RawTable, source: Source) -> None:
    """Create the view `TEXTS` over `source`; lines of a wrong shape go to DuckDB's table `reject_errors` when it is read."""
    connection.raw_sql("DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans")
    if source.dialect is None:
        columns = ", ".join(_parquet_text(column.name, source) for column in table.columns)
        relation = f"read_parquet({quoted(source.path)})"
    else:
        columns = ", ".join(_csv_text(column.name, source.header) for column in table.columns)
        relation = _read_csv(table, source, source.dialect)
    connection.raw_sql(f"CREATE OR REPLACE TEMP VIEW {TEXTS} AS SELECT {columns} FROM {relation}")


def quoted(text: str | Path) -> str:
    """A text as an SQL literal."""
    return "'" + str(text).replace("'", "''") + "'"


def _parquet_header(path: Path) -> list[str]:
    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowInvalid, OSError) as error:
        raise UnreadableFile(f"{path.name} is a Parquet file cut short or damaged: copy or export it again") from error


def _tidy_copy(path: Path, print_: Fingerprint, folder: Path) -> Path:
    """A copy in UTF-8 with one kind of line end and no blank lines; bytes that are no UTF-8 stay, for the check of their row."""
    target = folder / "tidy" / path.name  # messages give the name of the file as it was sent
    target.parent.mkdir()
    strict = "surrogateescape" if print_.unicode else "strict"
    with (
        path.open(encoding=print_.encoding, errors=strict) as original,
        target.open("w", encoding="utf-8", errors=strict, newline="") as copy,
    ):
        try:
            if not print_.uneven:
                shutil.copyfileobj(original, copy, 1 << 22)
                return target
            in_quotes = False
            for line in original:
                in_quotes ^= line.count('"') % 2 == 1
                if in_quotes or line.strip("\n"):
                    copy.write(line)
        except UnicodeDecodeError as error:
            raise UnreadableFile(f"{path.name} is neither UTF-8 nor cp1251: export it in one of them") from error
    return target


def _check_columns(table: RawTable, header: list[str], name: str) -> None:
    missing = [column.name for column in table.columns if column.name not in header and not column.optional_column]
    if missing:
        raise RefusedFile(f"{name} lacks {', '.join(missing)} of {table.name}: nothing was ingested; export these columns too")
    if table.any_of and not set(table.any_of) & set(header):
        raise RefusedFile(f"{name} has none of {', '.join(table.any_of)}: nothing was ingested; export at least one of them")
    twice = [column.name for column in table.columns if header.count(column.name) > 1]
    if twice:
        raise RefusedFile(f"{name} has {', '.join(twice)} twice: nothing was ingested; leave one column of that name")


def _csv_text(name: str, header: list[str]) -> str:
    text = f"c{header.index(name)}" if name in header else "NULL::VARCHAR"
    return f'{text} AS "{name}"'


def _read_csv(table: RawTable, source: Source, dialect: Dialect) -> str:
    columns = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(len(source.header)))
    return (
        f"read_csv({quoted(source.path)}, columns={{{columns}}}, auto_detect=false, header={str(table.header).lower()}, "
        f"delim={quoted(dialect.delimiter)}, quote='\"', escape='\"', strict_mode=true, null_padding=false, "
        f"store_rejects=true, rejects_limit={REJECTS_LIMIT})"
    )


def _parquet_text(name: str, source: Source) -> str:
    """Typed columns become text the way an export writes them: moments in UTC without a zone, true and false as 1 and 0."""
    if name not in source.header:
        return f'NULL::VARCHAR AS "{name}"'
    dtype = pq.read_schema(source.path).field(name).type
    value = f'"{name}"'
    if pa.types.is_timestamp(dtype) or pa.types.is_date(dtype):
        zoned = "::TIMESTAMPTZ" if getattr(dtype, "tz", None) else ""
        value = f"{value}{zoned}::TIMESTAMP"
    elif pa.types.is_boolean(dtype):
        value = f"{value}::TINYINT"
    return f'{value}::VARCHAR AS "{name}"'
