"""The lake: Delta tables that files are ingested into once, and that can be read as they were at any version."""

import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import duckdb
import ibis
from deltalake.exceptions import DeltaError
from ibis.backends.duckdb import Backend
from ibis.expr.types import Table

from features.attempt import Attempt, Place
from features.delta_log import DeltaLog, Overtaken
from features.fingerprint import fingerprint
from features.landing import Landing
from features.quarantine import QUARANTINE
from features.raw_table import RawTable
from features.refusals import RefusedFile, UnwritableLake
from features.source import open_source, quoted
from features.summary import IngestSummary
from features.tables import TABLES
from settings import Settings

_MEMORY = "2GB"
_STALE_SECONDS = 24 * 3600


class Lake:
    """Delta tables in one folder, read and written through one DuckDB connection.

    One object belongs to one thread; threads and processes that work side by side open a lake each.

    Args:
        root: folder of the tables; their bad rows lie under `quarantine` in it.
        scratch: folder for what is being worked on; by default inside `root`.
        quarantine_limit: largest share of bad rows with which a file still lands.
    """

    def __init__(self, root: str, scratch: Path | None = None, quarantine_limit: float = 0.05) -> None:
        self._root = Path(root).absolute()
        self._scratch = (scratch or self._root / "_scratch").absolute()
        self._quarantine_limit = quarantine_limit
        self.connection: Backend = ibis.duckdb.connect()
        self.connection.raw_sql(
            f"SET TimeZone='UTC'; SET memory_limit='{_MEMORY}'; SET threads={os.cpu_count() or 1}; "
            f"SET temp_directory={quoted(self._scratch / f'spill-{uuid.uuid4().hex}')}; SET preserve_insertion_order=true; "
            "SET streaming_buffer_size='64MB'; "  # the engine's threads go on while a batch is written
            "SET disabled_optimizers='in_clause'"  # it turns long lists of values into a join, which loses the order of the rows
        )

    def ingest(self, table: RawTable, path: Path) -> IngestSummary:
        """Check every row of a file and append the good ones as the table's next version, once per content.

        A kill at any moment leaves the version before or the version after: data and bad rows are written beside the tables;
        the commit that names the data file is the one moment in which a file lands. It carries the content hash, so that a
        repetition finds it, and the attempt's name, so that only the bad rows of attempts that landed are shown. A writer that
        took the version meanwhile makes this one look again: two files land one after the other, the same file once.

        Raises:
            RefusedFile (also as UnreadableFile): nothing landed; the message says why. UnwritableLake: the disk is full.
        """
        before = _state(path)
        print_ = fingerprint(path)
        log = self._log(table.name)
        known = self._known(log, print_.sha256)
        if known:
            return known
        with self._explained(path.name), self._workplace() as folder:
            source = open_source(table, path, print_, folder)
            place = Place(log, self._quarantine_log(table.name), folder)
            with Attempt(self.connection, table, source, print_.sha256, place) as attempt:
                landing = attempt.land()
                if _state(path) != before:
                    raise RefusedFile(f"{path.name} changed while it was read: nothing was ingested; wait until it is complete")
                summary = self._commit(attempt, landing, log, print_.sha256)
        log.sweep()
        return summary

    def read(self, name: str, version: int | None = None, at: datetime | None = None) -> Table:
        """A table as it is, as it was at `version`, or as it was at the moment `at`; lazy, on `connection`.

        A column that the table got only after rows had landed is empty in them.

        Raises:
            UnknownTable: nothing was ingested into it (by then).
        """
        log = self._log(name)
        found = self.connection.read_parquet(log.files(log.version_at(at) if at else version), union_by_name=True)
        expected = TABLES[name].schema if name in TABLES else {}
        later = {column: ibis.null(dtype) for column, dtype in expected.items() if column not in found.columns}
        return found.mutate(**later) if later else found

    def tables(self, versions: Mapping[str, int] | None = None) -> dict[str, Table]:
        """Every table of the bank by name: as they are, or those of `versions`, each as it was at its version.

        Raises:
            UnknownTable: a table or version of `versions` is not in the lake.
        """
        pinned = self.versions() if versions is None else versions
        return {name: self.read(name, version) for name, version in pinned.items()}

    def version(self, name: str) -> int:
        """The newest version of a table.

        Raises:
            UnknownTable: nothing was ingested into it.
        """
        return self._log(name).version()

    def versions(self) -> dict[str, int]:
        """The newest version of every table of the bank that the lake holds."""
        return {name: self.version(name) for name in TABLES if self._log(name).exists()}

    def quarantine(self, name: str) -> Table:
        """The bad rows of the files that landed in a table: file_sha256, row, column, rule, value, text.

        Raises:
            UnknownTable: nothing was ingested into it.
        """
        self.version(name)
        log, bad = self._log(name), self._quarantine_log(name)
        columns = [column for column in QUARANTINE.names if column != "attempt"]
        if not bad.exists():
            return ibis.memtable(QUARANTINE.empty_table()).select(columns)
        rows = self.connection.read_parquet(bad.files())
        attempts = rows.select("attempt").distinct().to_pyarrow()["attempt"].to_pylist()
        return rows.filter(rows.attempt.isin([attempt for attempt in attempts if log.landed_in(attempt) is not None])).select(
            columns
        )

    def _log(self, name: str) -> DeltaLog:
        return DeltaLog(name, self._root / name)

    def _quarantine_log(self, name: str) -> DeltaLog:
        return DeltaLog(f"{name} quarantine", self._root / "quarantine" / name)

    def _known(self, log: DeltaLog, sha256: str) -> IngestSummary | None:
        version = log.landed_in(sha256)
        return None if version is None else IngestSummary.from_record(log.summary(version), already_ingested=True)

    def _commit(self, attempt: Attempt, landing: Landing, log: DeltaLog, sha256: str) -> IngestSummary:
        while True:
            try:
                return attempt.commit(landing, self._quarantine_limit)
            except Overtaken:
                if known := self._known(log, sha256):
                    return known

    @contextmanager
    def _workplace(self) -> Iterator[Path]:
        """A folder for one ingest, removed afterwards; those that a crash left behind a day ago go too."""
        folder = self._scratch / f"ingest-{uuid.uuid4().hex}"
        folder.mkdir(parents=True)
        try:
            for left in self._scratch.iterdir():
                if left.is_dir() and time.time() - left.stat().st_mtime > _STALE_SECONDS:
                    shutil.rmtree(left, ignore_errors=True)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        try:
            yield
        except (OSError, DeltaError, duckdb.IOException) as error:
            raise UnwritableLake(
                f"cannot write the lake while ingesting {name} ({error}): make room and send the same file again"
            ) from error


def _state(path: Path) -> tuple[int, int, int] | None:
    """What changes when somebody writes to a file or replaces it."""
    if not path.exists():
        return None
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def open_lake(config: Settings) -> Lake:
    """The lake of this Opora."""
    return Lake(config.lake_root, config.var / "scratch", config.quarantine_limit)
