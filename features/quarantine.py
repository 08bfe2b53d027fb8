"""Rows that do not land: repeated keys, and the numbering of all bad rows as they lie in the file."""

from pathlib import Path

import pyarrow as pa
from ibis.backends.duckdb import Backend

from features.landing import POSITION, Landing
from features.raw_table import RawTable
from features.source import quoted
from features.staging import FAILED, RAW, Check

QUARANTINE = pa.schema(
    [
        ("attempt", pa.string()),
        ("file_sha256", pa.string()),
        ("row", pa.int64()),
        ("column", pa.string()),
        ("rule", pa.string()),
        ("value", pa.string()),
        ("text", pa.string()),
    ]
)
"""`row` counts the data rows of the file from 1; `text` is the row's texts as JSON, or the line itself if its shape is wrong."""


def find_repeated(connection: Backend, table: RawTable, landing: Landing, files: list[str]) -> None:
    """Fill the table `ingest_repeated` with good rows whose unique key an earlier row of the file, or of data `files`, has."""
    connection.raw_sql(
        f"CREATE OR REPLACE TEMP TABLE ingest_repeated "
        f'({POSITION} BIGINT, "column" VARCHAR, rule VARCHAR, value VARCHAR, text VARCHAR)'
    )
    for name in table.unique:
        connection.raw_sql(_repeats(table, name, landing.good, files))


def copy_unrepeated(connection: Backend, table: RawTable, landing: Landing, target: Path) -> None:
    """Write the good rows that `find_repeated` did not find to `target`."""
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    connection.raw_sql(
        f"COPY (SELECT {names} FROM read_parquet({quoted(landing.good)}) "
        f"WHERE {POSITION} NOT IN (SELECT {POSITION} FROM ingest_repeated)) TO {quoted(target)} (FORMAT parquet)"
    )


def write_quarantine(connection: Backend, landing: Landing, identity: tuple[str, str], target: Path) -> dict[str, int]:
    """Write every bad row, numbered as in the file, to `target`; `identity` is (attempt, file hash). Counts them by rule.

    The engine gives rows of the right shape without those of a wrong shape between them: the n-th of them has, in the file, the
    number n + (how many wrong ones come before it).
    """
    connection.con.register("ingest_checks", _numbered(landing.checks))
    attempt, sha256 = identity
    connection.raw_sql(
        f"COPY (SELECT {quoted(attempt)} AS attempt, {quoted(sha256)} AS file_sha256, * "
        f"FROM ({_bad_rows(landing)}) ORDER BY row) TO {quoted(target)} (FORMAT parquet)"
    )
    counted = connection.raw_sql(f'SELECT "column", rule, count(*) FROM read_parquet({quoted(target)}) GROUP BY ALL ORDER BY ALL')
    return {f"{column or 'row'} {rule}": count for column, rule, count in counted.fetchall()}


def _numbered(checks: list[Check]) -> pa.Table:
    return pa.table(
        {
            "code": pa.array(range(len(checks)), pa.int16()),
            "column": [check.column for check in checks],
            "rule": [check.rule for check in checks],
        }
    )


def _bad_rows(landing: Landing) -> str:
    return f"""
        WITH shifts AS (SELECT row - nth AS good_before, max(nth) AS wrong FROM ingest_rejected GROUP BY good_before),
        positioned AS (
            SELECT {POSITION}, "column", rule, json_extract_string({RAW}, "column") AS value, {RAW} AS text
            FROM read_parquet({quoted(landing.bad)}) JOIN ingest_checks ON {FAILED} = code
            UNION ALL (SELECT DISTINCT ON ({POSITION}) * FROM ingest_repeated ORDER BY {POSITION}, rule)
        )
        SELECT {POSITION} + coalesce(wrong, 0) AS row, "column", rule, value, text
        FROM positioned ASOF LEFT JOIN shifts ON {POSITION} > good_before
        UNION ALL SELECT row, NULL, rule, NULL, text FROM ingest_rejected"""


def _repeats(table: RawTable, name: str, good: Path, files: list[str]) -> str:
    fields = ", ".join(f'"{column.name}" := "{column.name}"' for column in table.columns)
    found = f"""
        INSERT INTO ingest_repeated SELECT {POSITION}, '{name}', rule, "{name}"::VARCHAR, to_json(struct_pack({fields}))::VARCHAR
        FROM (SELECT *, 'repeats an earlier row of the file' AS rule FROM read_parquet({quoted(good)})
              QUALIFY row_number() OVER (PARTITION BY "{name}" ORDER BY {POSITION}) > 1"""
    if files:
        held = f'SELECT "{name}" FROM read_parquet([{", ".join(map(quoted, files))}])'
        found += f"""
              UNION ALL SELECT *, 'repeats an earlier file' FROM read_parquet({quoted(good)}) WHERE "{name}" IN ({held})"""
    return found + ")"
