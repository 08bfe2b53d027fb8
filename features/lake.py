"""The lake: Delta tables that files are ingested into once, and that can be read as they were at any version."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError
from filelock import FileLock
from ibis.backends.duckdb import Backend
from ibis.expr.types import Table

from features.dialect import UnreadableFile, detect_dialect
from features.staging import FAILED, RAW, Source, stage
from features.tables import RawTable
from settings import Settings


class UnknownTable(Exception):
    """The lake does not hold this table or version; ingest first."""


class RefusedFile(Exception):
    """A file that can be read but must not land; nothing of it has. The message says why and what to do."""


@dataclass(frozen=True)
class IngestSummary:
    """What became of a file: the version it produced, how it was read, and how many rows each rule turned away."""

    table: str
    file: str
    sha256: str
    version: int
    dialect: str
    read: int
    landed: int
    quarantined: dict[str, int]
    ignored_columns: tuple[str, ...] = ()
    already_ingested: bool = False

    def rows(self) -> list[dict[str, Any]]:
        """One row for the file and one per rule, for a table artifact."""
        first = {"table": self.table, "file": self.file, "version": self.version, "dialect": self.dialect}
        state = "already ingested" if self.already_ingested else "ingested"
        head = {**first, "what": state, "rows": self.landed}
        return [head, *({**first, "what": f"quarantined: {rule}", "rows": count} for rule, count in self.quarantined.items())]


QUARANTINE = pa.schema(
    [
        ("file_sha256", pa.string()),
        ("row", pa.int64()),
        ("column", pa.string()),
        ("rule", pa.string()),
        ("value", pa.string()),
        ("text", pa.string()),
    ]
)


class Lake:
    """Delta tables under one root, read and written through one DuckDB connection.

    One object belongs to one thread; processes and threads that ingest side by side open a lake each.

    Args:
        root: folder (or object-store URI) of the tables.
        scratch: local folder for staging files.
        quarantine_limit: largest share of bad rows with which a file still lands.
    """

    def __init__(self, root: str, scratch: Path | None = None, quarantine_limit: float = 0.05) -> None:
        self._root = root.rstrip("/")
        self._scratch = scratch or Path(tempfile.gettempdir())
        self._quarantine_limit = quarantine_limit
        self.connection: Backend = ibis.duckdb.connect()
        self.connection.raw_sql("SET TimeZone='UTC'; SET memory_limit='3GB'; SET preserve_insertion_order=true")
        self.connection.raw_sql(f"SET temp_directory='{self._scratch}/duckdb-{os.getpid()}'")

    def ingest(self, table: RawTable, path: Path) -> IngestSummary:
        """Check every row of a file and append the good ones as the table's next version, once per content.

        Bad rows go to the quarantine. A kill at any moment leaves the version before or the version after: the quarantine is
        written first, shows only files that landed, and both writes carry the content hash as a Delta application
        transaction, so that a repetition completes what was cut short and adds nothing.

        Raises:
            UnreadableFile: no table at all. RefusedFile: missing columns, no rows, or too many bad ones. Nothing landed.
        """
        sha256 = _sha256(path)
        with self._one_writer(table.name):
            known = self._known(table.name, sha256)
            return known or self._land(table, path, sha256)

    def read(self, name: str, version: int | None = None, at: datetime | None = None) -> Table:
        """A table as it is, as it was at `version`, or as it was at the moment `at`.

        Raises:
            UnknownTable: nothing was ingested into it (by then).
        """
        delta = self._open(name, version)
        if at is not None:
            delta.load_as_version(at)
        files = delta.file_uris()
        return self.connection.read_parquet(files)

    def version(self, name: str) -> int:
        """The newest version of a table."""
        return self._open(name, None).version()

    def versions(self) -> dict[str, int]:
        """The newest version of every table of the bank that the lake holds."""
        from features.tables import TABLES

        return {name: self.version(name) for name in TABLES if DeltaTable.is_deltatable(self._uri(name))}

    def quarantine(self, name: str) -> Table:
        """The bad rows of the files that landed in a table: file_sha256, row, column, rule, value, text."""
        uri = self._uri(f"quarantine/{name}")
        landed = self._open(name, None)
        if not DeltaTable.is_deltatable(uri):
            return ibis.memtable(QUARANTINE.empty_table())
        rows = self.connection.read_parquet(DeltaTable(uri).file_uris())
        files = [sha for (sha,) in rows.select("file_sha256").distinct().to_pyarrow().to_pandas().itertuples(index=False)]
        return rows.filter(rows.file_sha256.isin([sha for sha in files if landed.transaction_version(sha) is not None]))

    def _open(self, name: str, version: int | None) -> DeltaTable:
        try:
            return DeltaTable(self._uri(name), version=version)
        except (TableNotFoundError, DeltaError) as error:
            wanted = name if version is None else f"{name} version {version}"
            raise UnknownTable(f"the lake holds no {wanted}: ingest it first (make ingest TABLE={name} FILE=...)") from error

    def _uri(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _one_writer(self, name: str) -> Iterator[None]:
        self._scratch.mkdir(parents=True, exist_ok=True)
        with FileLock(self._scratch / f"{name}.lock"):
            yield

    def _known(self, name: str, sha256: str) -> IngestSummary | None:
        if not DeltaTable.is_deltatable(self._uri(name)):
            return None
        delta = DeltaTable(self._uri(name))
        version = delta.transaction_version(sha256)
        if version is None:
            return None
        entry = next(item for item in delta.history() if item.get("opora_sha256") == sha256)
        kept = json.loads(entry["opora_summary"])
        return replace(IngestSummary(**kept), already_ingested=True)

    def _land(self, table: RawTable, path: Path, sha256: str) -> IngestSummary:
        with tempfile.TemporaryDirectory(dir=self._scratch, prefix="ingest-") as folder:
            source, ignored = _source(table, path, Path(folder))
            staged = Path(folder) / "staged.parquet"
            stage(self.connection, table, source, staged)
            rows, bad = self._judge(table, staged, source, path)
            summary = IngestSummary(
                table=table.name,
                file=path.name,
                sha256=sha256,
                version=self.version(table.name) + 1 if DeltaTable.is_deltatable(self._uri(table.name)) else 0,
                dialect=str(source.dialect or "Parquet"),
                read=rows,
                landed=rows - bad.num_rows,
                quarantined=_by_rule(bad),
                ignored_columns=ignored,
            )
            self._commit(table, bad, summary)
        return summary

    def _judge(self, table: RawTable, staged: Path, source: Source, path: Path) -> tuple[int, pa.Table]:
        """How many rows the file has, and its bad ones; refuses a file that is bad beyond the limit."""
        torn = self._torn_rows(source)
        self.connection.raw_sql(
            f"CREATE OR REPLACE TEMP VIEW staged AS SELECT * FROM read_parquet('{staged}', file_row_number=true)"
        )
        rows = pq.read_metadata(staged).num_rows + len(torn)
        if rows == 0:
            raise RefusedFile(f"{path.name} has no rows: nothing was ingested; export it again")
        bad = pa.concat_tables([self._broken(torn), self._repeated(table, torn), _torn_table(torn)])
        if bad.num_rows > rows * self._quarantine_limit:
            worst = ", ".join(f"{rule}: {count}" for rule, count in _by_rule(bad).items())
            raise RefusedFile(
                f"{path.name}: {bad.num_rows} of {rows} rows are bad ({worst}), more than the accepted "
                f"{self._quarantine_limit:.0%}: nothing was ingested; repair the export, or raise OPORA_QUARANTINE_LIMIT"
            )
        return rows, bad

    def _torn_rows(self, source: Source) -> list[tuple[int, str]]:
        """Number and text of the lines that do not have as many fields as the header."""
        if source.dialect is None:
            return []
        query = "SELECT line, any_value(csv_line) FROM reject_errors GROUP BY line ORDER BY line"
        return [(line - 1, text) for line, text in self.connection.raw_sql(query).fetchall()]

    def _broken(self, torn: list[tuple[int, str]]) -> pa.Table:
        """Rows that break a rule, in the columns of `QUARANTINE` (without the file)."""
        query = f"SELECT file_row_number, {FAILED}, to_json({RAW})::VARCHAR FROM staged WHERE {FAILED} IS NOT NULL ORDER BY 1"
        found = self.connection.raw_sql(query).fetchall()
        rows = _numbers_in_file([position for position, _, _ in found], [number for number, _ in torn])
        records = []
        for number, (_, failed, text) in zip(rows, found, strict=True):
            column, rule = failed.split("|", 1)
            records.append({"row": number, "column": column, "rule": rule, "value": json.loads(text).get(column), "text": text})
        return _quarantine_table(records)

    def _repeated(self, table: RawTable, torn: list[tuple[int, str]]) -> pa.Table:
        """Good rows whose unique key an earlier row of the file or of the table has; marked as broken in the staged view."""
        if not table.unique:
            return _quarantine_table([])
        (key,) = table.unique
        query = (
            f'SELECT file_row_number, "{key}" FROM (SELECT file_row_number, "{key}", row_number() OVER '
            f'(PARTITION BY "{key}" ORDER BY file_row_number) AS nth FROM staged WHERE {FAILED} IS NULL) WHERE nth > 1'
        )
        if DeltaTable.is_deltatable(self._uri(table.name)):
            self.connection.create_view("ingest_known", self.read(table.name).select(key), temp=True, overwrite=True)
            query += (
                f' UNION SELECT file_row_number, "{key}" FROM staged WHERE {FAILED} IS NULL '
                f'AND "{key}" IN (SELECT "{key}" FROM ingest_known)'
            )
        found = sorted(self.connection.raw_sql(query).fetchall())
        positions = [position for position, _ in found]
        self.connection.con.register("repeated", pa.table({"position": pa.array(positions, pa.int64())}))
        rows = _numbers_in_file(positions, [number for number, _ in torn])
        records = [
            {"row": number, "column": key, "rule": "is not repeated", "value": str(value), "text": None}
            for number, (_, value) in zip(rows, found, strict=True)
        ]
        return _quarantine_table(records)

    def _commit(self, table: RawTable, bad: pa.Table, summary: IngestSummary) -> None:
        if bad.num_rows:
            files = pa.array([summary.sha256] * bad.num_rows)
            self._append(f"quarantine/{table.name}", bad.set_column(0, "file_sha256", files), summary)
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        query = f"SELECT {columns} FROM staged WHERE {FAILED} IS NULL"
        if table.unique:
            query += " AND file_row_number NOT IN (SELECT position FROM repeated)"
        self._append(table.name, self.connection.con.sql(query).to_arrow_reader(200_000), summary)

    def _append(self, name: str, rows: Any, summary: IngestSummary) -> None:
        uri = self._uri(name)
        if DeltaTable.is_deltatable(uri) and DeltaTable(uri).transaction_version(summary.sha256) is not None:
            return
        kept = json.dumps(asdict(summary), ensure_ascii=False)
        properties = CommitProperties(
            custom_metadata={"opora_sha256": summary.sha256, "opora_summary": kept},
            app_transactions=[Transaction(app_id=summary.sha256, version=summary.version)],
        )
        write_deltalake(uri, rows, mode="append", commit_properties=properties)


def _numbers_in_file(positions: list[int], torn: list[int]) -> list[int]:
    """Row numbers in the file (from 1) of staged positions (from 0), given the numbers of the torn rows that were left out."""
    numbers, before = [], 0
    for position in positions:
        while before < len(torn) and torn[before] <= position + 1 + before:
            before += 1
        numbers.append(position + 1 + before)
    return numbers


def _torn_table(torn: list[tuple[int, str]]) -> pa.Table:
    rule = "has as many fields as the header"
    return _quarantine_table([{"row": row, "column": None, "rule": rule, "value": None, "text": text} for row, text in torn])


def _quarantine_table(records: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(records, schema=QUARANTINE)


def _by_rule(bad: pa.Table) -> dict[str, int]:
    counts: dict[str, int] = {}
    for column, rule in zip(bad["column"].to_pylist(), bad["rule"].to_pylist(), strict=True):
        name = f"{column} {rule}" if column else f"row {rule}"
        counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items()))


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _source(table: RawTable, path: Path, folder: Path) -> tuple[Source, tuple[str, ...]]:
    """How to read a file, its text made UTF-8 where it is not, and the columns that nobody asked for."""
    with path.open("rb") as stream:
        parquet = stream.read(4) == b"PAR1"
    if parquet:
        try:
            header, dialect = pq.read_schema(path).names, None
        except pa.ArrowInvalid as error:
            raise UnreadableFile(f"{path.name} is a Parquet file cut short: copy or export it again") from error
    else:
        dialect, header = detect_dialect(path)
        if not table.header:
            if len(header) != len(table.columns):
                raise RefusedFile(
                    f"{path.name} has {len(header)} columns, the headerless table {table.name} has {len(table.columns)}"
                )
            header = [column.name for column in table.columns]
    names = {column.name for column in table.columns}
    missing = [column.name for column in table.columns if column.name not in header and not column.optional_column]
    if missing:
        raise RefusedFile(f"{path.name} has no column {', '.join(missing)}: {table.name} needs it; nothing was ingested")
    if len(set(header)) != len(header):
        raise RefusedFile(f"{path.name} names a column twice: rename it and export again")
    if dialect is not None and dialect.encoding == "cp1251":
        path = _as_utf8(path, folder)
    return Source(path, dialect, header), tuple(name for name in header if name not in names)


def _as_utf8(path: Path, folder: Path) -> Path:
    target = folder / "utf8.csv"
    with path.open("r", encoding="cp1251", newline="") as source, target.open("w", encoding="utf-8", newline="") as copy:
        try:
            shutil.copyfileobj(source, copy, 1 << 22)
        except UnicodeDecodeError as error:
            raise UnreadableFile(f"{path.name} is neither UTF-8 nor cp1251: export it in one of them") from error
    return target


def open_lake(config: Settings) -> Lake:
    """The lake of this Opora."""
    return Lake(config.lake_root, config.var / "scratch", config.quarantine_limit)
