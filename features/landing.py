"""One pass over the rows of a file: the good ones into a data file, the bad ones aside."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from features.raw_table import RawTable
from features.refusals import RefusedFile, UnreadableFile
from features.source import REJECTS_LIMIT, Source, create_view, quoted
from features.staging import FAILED, RAW, Check, create_staging

POSITION = "_position"
"""Number of a row, from 1, among those that have the right shape."""
_BATCH = 122_880
_SHAPES = {
    "MISSING COLUMNS": "has as many fields as the header",
    "TOO MANY COLUMNS": "has as many fields as the header",
    "UNQUOTED VALUE": "closes its quotes",
    "INVALID ENCODING": "is valid UTF-8",
    "LINE SIZE OVER MAXIMUM": "is shorter than 2 MB",
}

_DISK = ("no space left", "file too large", "read-only file system", "permission denied", "could not write", "quota exceeded")


@dataclass(frozen=True)
class Landing:
    """A file whose rows were told apart: `good` and `bad` are Parquet files, `read` counts all rows.

    `good` has the table's columns and, where the table has unique columns, the position among the rows with the right shape.
    """

    good: Path
    bad: Path
    read: int
    checks: list[Check]


def land(connection: Backend, table: RawTable, source: Source, good: Path, bad: Path) -> Landing:
    """Stream every row of `source` through the checks in constant memory, into the Parquet files `good` and `bad`.

    Raises:
        UnreadableFile: the engine cannot read the file. RefusedFile: lines that cannot be told apart.
        OSError: the disk is full.
    """
    with _explained(source.name):
        create_view(connection, table, source)
        query, checks = create_staging(connection, table, source.dialect.decimal if source.dialect else ".")
        streamed = _split(connection.con.sql(query).to_arrow_reader(_BATCH), table, good, bad)
    rejected = _rejected(connection, table, source)
    return Landing(good, bad, streamed + rejected, checks)


def _split(batches: pa.RecordBatchReader, table: RawTable, good: Path, bad: Path) -> int:
    """Write the rows of `batches` to `good` or `bad` by their code; gives how many there were."""
    names = [column.name for column in table.columns]
    schema = table.schema.to_pyarrow()
    if table.unique:
        schema = schema.append(pa.field(POSITION, pa.int64()))
    bad_schema = pa.schema([(POSITION, pa.int64()), (FAILED, pa.int16()), (RAW, pa.string())])
    seen = 0
    with _writer(good, schema) as good_rows, pq.ParquetWriter(bad, bad_schema) as bad_rows:
        for batch in batches:
            positions = pa.array(np.arange(seen + 1, seen + 1 + batch.num_rows)) if table.unique else None
            failed = batch.column(FAILED)
            if failed.null_count < batch.num_rows:
                bad_rows.write_batch(_bad_batch(batch, seen, bad_schema))
            rows = batch.select(names)
            if positions is not None:
                rows = rows.append_column(POSITION, positions)
            kept = rows if failed.null_count == batch.num_rows else rows.filter(failed.is_null())
            good_rows.write_batch(kept.cast(schema))
            seen += batch.num_rows
    return seen


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Dictionaries pay for texts and flags; for moments and amounts they are built in vain."""
    repeating = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_int8(field.type)]
    return pq.ParquetWriter(path, schema, use_dictionary=repeating, store_decimal_as_integer=True)


def _bad_batch(batch: pa.RecordBatch, seen: int, schema: pa.Schema) -> pa.RecordBatch:
    indices = pc.indices_nonzero(batch.column(FAILED).is_valid())
    rows = batch.select([FAILED, RAW]).take(indices)
    positions = pc.add(indices.cast(pa.int64()), seen + 1)
    return pa.RecordBatch.from_arrays([positions, rows.column(FAILED), rows.column(RAW)], schema=schema)


def _rejected(connection: Backend, table: RawTable, source: Source) -> int:
    """Make the table `ingest_rejected` (row, rule, text, nth) of the lines with a wrong shape; gives how many there are."""
    connection.raw_sql("CREATE OR REPLACE TEMP TABLE ingest_rejected (row BIGINT, rule VARCHAR, text VARCHAR, nth BIGINT)")
    if source.dialect is None:
        return 0
    rules = " ".join(f"WHEN {quoted(kind)} THEN {quoted(rule)}" for kind, rule in _SHAPES.items())
    connection.raw_sql(
        "INSERT INTO ingest_rejected SELECT row, rule, text, row_number() OVER (ORDER BY row) FROM ("
        f"SELECT line - {int(table.header)} AS row, first(CASE error_type::VARCHAR {rules} ELSE lower(error_type::VARCHAR) END) "
        "AS rule, first(trim(csv_line, chr(10) || chr(13))) AS text FROM reject_errors GROUP BY row)"
    )
    if _scalar(connection, "SELECT count(*) FROM reject_errors") >= REJECTS_LIMIT:
        raise RefusedFile(
            f"over {REJECTS_LIMIT:,} lines of {source.name} have a wrong shape: nothing was ingested; repair the export"
        )
    swallowing = "rule IN ('closes its quotes', 'is shorter than 2 MB') AND contains(text, chr(10))"
    swallowed = _scalar(connection, f"SELECT coalesce(min(row), 0) FROM ingest_rejected WHERE {swallowing}")
    if swallowed:
        raise RefusedFile(
            f"row {swallowed} of {source.name} opens a quotation mark that it does not close, so that the rows after it cannot "
            "be told apart: nothing was ingested; close it, or double the marks inside a quoted field"
        )
    return _scalar(connection, "SELECT count(*) FROM ingest_rejected")


def _scalar(connection: Backend, query: str) -> int:
    return int(connection.raw_sql(query).fetchall()[0][0])


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """What the engine cannot read becomes an error of the file; a full disk stays one of the disk."""
    try:
        yield
    except (duckdb.OutOfMemoryException, MemoryError):
        raise
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        if isinstance(error, OSError | duckdb.IOException) and any(sign in str(error).lower() for sign in _DISK):
            raise OSError(reason) from error
        raise UnreadableFile(f"{name} cannot be read as a table ({reason}): repair or export it again") from error
