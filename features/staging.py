"""From a file to a staged Parquet file: every row typed, and for a bad row the rule that it breaks."""

from dataclasses import dataclass
from pathlib import Path

import duckdb
import ibis
from ibis.backends.duckdb import Backend
from ibis.expr.types import Table, Value

from features.dialect import Dialect, UnreadableFile
from features.tables import Column, RawTable

FAILED, RAW = "_failed", "_raw"
"""Extra columns of the staged file: `column|rule` that a row breaks (else null), and the texts of such a row."""


@dataclass(frozen=True)
class Source:
    """A table file to be read: CSV already in UTF-8, or Parquet (dialect None)."""

    path: Path
    dialect: Dialect | None
    header: list[str]


def stage(connection: Backend, table: RawTable, source: Source, target: Path) -> None:
    """Type and check every row of `source` and write all of them to the Parquet file `target`, in the order of the file.

    Raises:
        UnreadableFile: the engine cannot read the file at all.
    """
    try:
        _create_source_view(connection, table, source)
        typed = _typed(connection.table("ingest_source"), table, source)
        staged = _checked(typed, table)
        connection.raw_sql(f"COPY ({ibis.to_sql(staged, dialect='duckdb')}) TO '{_quoted(target)}' (FORMAT parquet)")
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        raise UnreadableFile(f"{source.path.name} cannot be read as a table: {str(error).splitlines()[0]}") from error
    finally:
        connection.raw_sql("DROP VIEW IF EXISTS ingest_source")


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _create_source_view(connection: Backend, table: RawTable, source: Source) -> None:
    if source.dialect is None:
        query = f"SELECT * FROM read_parquet('{_quoted(source.path)}')"
    else:
        columns = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(len(source.header)))
        query = (
            f"SELECT * FROM read_csv('{_quoted(source.path)}', columns={{{columns}}}, auto_detect=false, "
            f"header={str(table.header).lower()}, delim='{source.dialect.delimiter}', quote='\"', escape='\"', "
            "null_padding=false, strict_mode=true, store_rejects=true, rejects_limit=0, max_line_size=4194304, parallel=true)"
        )
    connection.raw_sql("DROP TABLE IF EXISTS reject_errors")
    connection.raw_sql("DROP TABLE IF EXISTS reject_scans")
    connection.raw_sql(f"CREATE OR REPLACE TEMP VIEW ingest_source AS {query}")


def _typed(source: Table, table: RawTable, origin: Source) -> Table:
    """The columns of the table, typed (null where the text does not fit), beside `_text_<column>` as they stood in the file."""
    expressions: dict[str, Value] = {}
    for column in table.columns:
        text = _text(source, table, column, origin)
        expressions[f"_text_{column.name}"] = text
        expressions[column.name] = _parsed(text, column, origin)
    return source.select(**expressions)


def _text(source: Table, table: RawTable, column: Column, origin: Source) -> Value:
    if column.name not in origin.header:
        return ibis.null("string")
    position = origin.header.index(column.name)
    text = source[source.columns[position]].cast("string").strip()
    return text.nullif("") if table.missing == ("",) else ibis.ifelse(text.isin(table.missing), ibis.null("string"), text)


def _parsed(text: Value, column: Column, origin: Source) -> Value:
    if column.dtype.is_string():
        return text
    if column.dtype.is_timestamp():
        return text.strip().replace("'", "").try_cast(column.dtype)
    if origin.dialect is not None and origin.dialect.decimal == ",":
        text = text.replace(",", ".")
    return text.try_cast(column.dtype)


def _checked(typed: Table, table: RawTable) -> Table:
    """Add the first rule that each row breaks, and the text of the rows that break one."""
    cases: list[tuple[Value, str]] = []
    for column in table.columns:
        value, text = typed[column.name], typed[f"_text_{column.name}"]
        if column.required:
            cases.append((text.isnull(), f"{column.name}|is given"))
        if not column.dtype.is_string():
            cases.append((value.isnull() & text.notnull(), f"{column.name}|is a {_TYPE_NAMES[type(column.dtype).__name__]}"))
        for rule in column.rules:
            cases.append((value.notnull() & ~rule.check(typed).fill_null(False), f"{column.name}|{rule.name}"))
    failed = ibis.cases(*cases, else_=ibis.null("string"))
    texts = ibis.struct({column.name: typed[f"_text_{column.name}"] for column in table.columns})
    flagged = typed.mutate(**{FAILED: failed})
    raw = ibis.ifelse(flagged[FAILED].notnull(), texts, ibis.null(texts.type()))
    return flagged.select(*[column.name for column in table.columns], FAILED, **{RAW: raw})


_TYPE_NAMES = {"Timestamp": "date", "Decimal": "number", "Int8": "whole number", "Int16": "whole number", "Float64": "number"}
