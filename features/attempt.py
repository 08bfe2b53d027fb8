"""One try to bring one file into one table."""

import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from ibis.backends.duckdb import Backend

from features.delta_log import DeltaLog, Overtaken
from features.landing import Landing, land
from features.quarantine import QUARANTINE, copy_unrepeated, find_repeated, write_quarantine
from features.raw_table import RawTable
from features.refusals import RefusedFile
from features.source import Source
from features.summary import IngestSummary
from features.wording import agreeing


@dataclass(frozen=True)
class Place:
    """Where the rows of a table go: the logs of the table and of its quarantine, and a folder for what is being worked on."""

    table: DeltaLog
    quarantine: DeltaLog
    folder: Path


class Attempt:
    """Data file and bad rows of one file, written beside the tables and then committed.

    A context: at its end the files that no commit names are removed.
    """

    def __init__(self, connection: Backend, table: RawTable, source: Source, sha256: str, place: Place) -> None:
        self._connection = connection
        self._table = table
        self._source = source
        self._sha256 = sha256
        self._place = place
        self._data = place.table.folder / _new_file()
        self._written: list[tuple[DeltaLog, Path]] = [(place.table, self._data)]

    def __enter__(self) -> "Attempt":
        self._place.table.folder.mkdir(parents=True, exist_ok=True)
        self._place.quarantine.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_exception: object) -> None:
        for log, path in self._written:
            log.discard(path)

    def land(self) -> Landing:
        """Tell the rows of the file apart. Good ones go straight to the data file, unless some may turn out to be repeated."""
        good = self._place.folder / "good.parquet" if self._table.unique else self._data
        landing = land(self._connection, self._table, self._source, good, self._place.folder / "bad.parquet")
        if landing.read == 0:
            raise RefusedFile(f"{self._source.name} has no rows: nothing was ingested; export it again")
        return landing

    def commit(self, landing: Landing, quarantine_limit: float) -> IngestSummary:
        """Make the good rows the next version of the table, with the bad ones in its quarantine.

        Raises:
            RefusedFile: too many bad rows. Overtaken: another writer took that version; call again.
        """
        version = self._place.table.next_version(self._sha256)
        find_repeated(self._connection, self._table, landing, self._place.table.files() if version else [])
        name, bad = self._new_quarantine_file()
        quarantined = write_quarantine(self._connection, landing, (name, self._sha256), bad)
        summary = self._summary(landing, quarantined, version)
        _refuse_beyond(summary, quarantine_limit)
        if self._table.unique:
            copy_unrepeated(self._connection, self._table, landing, self._data)
        if quarantined:
            self._commit_quarantine(bad, name)
        _flush(self._data)
        schema = self._table.schema.to_pyarrow()
        self._place.table.commit(self._data.name, schema, (self._sha256, name), summary.record(), version)
        return summary

    def _commit_quarantine(self, bad: Path, name: str) -> None:
        _flush(bad)
        log = self._place.quarantine
        while True:
            try:
                return log.commit(bad.name, QUARANTINE, (name,), {"file_sha256": self._sha256}, log.next_version(name))
            except Overtaken:
                continue

    def _new_quarantine_file(self) -> tuple[str, Path]:
        path = self._place.quarantine.folder / _new_file()
        self._written.append((self._place.quarantine, path))
        return path.stem, path

    def _summary(self, landing: Landing, quarantined: dict[str, int], version: int) -> IngestSummary:
        return IngestSummary(
            table=self._table.name,
            file=self._source.name,
            sha256=self._sha256,
            version=version,
            dialect=str(self._source.dialect or "Parquet"),
            read=landing.read,
            landed=landing.read - sum(quarantined.values()),
            quarantined=quarantined,
            ignored_columns=self._source.ignored,
        )


def _new_file() -> str:
    return f"part-{uuid.uuid4().hex}.parquet"


def _flush(path: Path) -> None:
    """To the disk, so that a commit never outlives the rows it names."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _refuse_beyond(summary: IngestSummary, limit: float) -> None:
    bad = summary.read - summary.landed
    if bad > summary.read * limit:
        worst = ", ".join(f"{rule}: {count}" for rule, count in summary.quarantined.items())
        rows = f"{bad} of {summary.read} rows {agreeing(bad, 'is', 'are')} bad"
        raise RefusedFile(
            f"{summary.file}: {rows} ({worst}), more than the accepted {limit:.0%}: "
            "nothing was ingested; repair the export, or raise OPORA_QUARANTINE_LIMIT"
        )
