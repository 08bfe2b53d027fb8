"""A Delta table of the lake as its log tells it: what landed, in which version, and when."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, create_table_with_add_actions

from features.refusals import UnknownTable

_KEPT = {
    "delta.appendOnly": "true",
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
}
"""Every version stays readable: Delta would otherwise drop versions from its log after thirty days."""
_SUMMARY = "opora_summary"
_ORPHAN_SECONDS = 24 * 3600


class Overtaken(Exception):
    """Another writer took the version that this commit was meant to be; look again and repeat."""


class DeltaLog:
    """The log of the table in one folder.

    Args:
        name: of the table, for messages.
        folder: where its data files and log lie.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self.folder = folder

    def exists(self) -> bool:
        """Whether anything ever landed."""
        return DeltaTable.is_deltatable(str(self.folder))

    def version(self) -> int:
        """The newest version.

        Raises:
            UnknownTable: nothing ever landed.
        """
        return self._open().version()

    def version_at(self, moment: datetime) -> int:
        """The version that was the newest at `moment` (UTC where it has no zone).

        Raises:
            UnknownTable: nothing had landed by then.
        """
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        milliseconds = aware.timestamp() * 1000
        for version in range(self.version(), -1, -1):
            if self._commit(version)["timestamp"] <= milliseconds:
                return version
        raise UnknownTable(
            f"the lake held no {self._name} yet at {moment.isoformat()}: ask for a later time, or for a version number"
        )

    def files(self, version: int | None = None) -> list[str]:
        """Paths of the data files of a version, or of the newest.

        Raises:
            UnknownTable: no such version.
        """
        return sorted(self._open(version).file_uris())

    def next_version(self, application: str) -> int:
        """The version that a commit would now be.

        Raises:
            Overtaken: `application` has landed meanwhile.
        """
        if not self.exists():
            return 0
        table = self._open()
        if table.transaction_version(application) is not None:
            raise Overtaken
        return table.version() + 1

    def landed_in(self, application: str) -> int | None:
        """The version that the file hash or attempt `application` produced, if it landed."""
        return self._open().transaction_version(application) if self.exists() else None

    def summary(self, version: int) -> dict[str, Any]:
        """What was recorded with the commit of `version`."""
        kept: dict[str, Any] = json.loads(self._commit(version)[_SUMMARY])
        return kept

    def commit(self, file: str, schema: pa.Schema, applications: tuple[str, ...], summary: dict[str, Any], version: int) -> None:
        """Make the data file `file` of the folder, with the applications and the summary, the version `version`; all or nothing.

        Raises:
            Overtaken: another commit is that version already.
        """
        properties = CommitProperties(
            custom_metadata={_SUMMARY: json.dumps(summary, ensure_ascii=False)},
            max_commit_retries=0,
            app_transactions=[Transaction(app_id=application, version=version) for application in applications],
        )
        try:
            self._write(self._addition(file), Schema.from_arrow(schema), properties, version)
        except DeltaError as error:
            landed = self.landed_in(applications[-1]) is not None
            if landed:  # only what Delta does after a commit (a checkpoint) failed
                return
            if self.exists() and self.version() >= version:
                raise Overtaken from error
            raise

    def discard(self, path: Path) -> None:
        """Remove a data file unless a commit names it."""
        if not self.exists() or path.name not in self._file_names():
            path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove data files that a crash left without a commit, once they are a day old: nobody is still writing them."""
        known = self._file_names()
        for path in self.folder.glob("part-*.parquet"):
            if path.name not in known and time.time() - path.stat().st_mtime > _ORPHAN_SECONDS:
                path.unlink(missing_ok=True)

    def _file_names(self) -> set[str]:
        return {Path(file).name for file in self.files()}

    def _open(self, version: int | None = None) -> DeltaTable:
        try:
            return DeltaTable(str(self.folder), version=version)
        except (DeltaError, OSError) as error:
            wanted = self._name if version is None else f"version {version} of {self._name}"
            raise UnknownTable(
                f"the lake holds no {wanted}: ingest it first (make ingest TABLE={self._name} FILE=...)"
            ) from error

    def _commit(self, version: int) -> dict[str, Any]:
        """Commit information as written; `DeltaTable.history` renumbers versions when an earlier one is open."""
        actions = (self.folder / "_delta_log" / f"{version:020}.json").read_text(encoding="utf-8").splitlines()
        found: dict[str, Any] = next(json.loads(action)["commitInfo"] for action in actions if "commitInfo" in json.loads(action))
        return found

    def _write(self, addition: AddAction, schema: Schema, properties: CommitProperties, version: int) -> None:
        if version > 0:
            table = self._open()
            if table.version() != version - 1:
                raise Overtaken
            known = {field.name for field in table.schema().fields}
            later = [field for field in schema.fields if field.name not in known]
            if later:  # a version of its own, so this commit is the one after it
                table.alter.add_columns(later)
                raise Overtaken
            table.create_write_transaction([addition], "append", schema, commit_properties=properties)
        else:
            create_table_with_add_actions(
                str(self.folder),
                schema,
                [addition],
                mode="error",
                name=self._name,
                configuration=_KEPT,
                commit_properties=properties,
            )

    def _addition(self, file: str) -> AddAction:
        path = self.folder / file
        rows = pq.read_metadata(path).num_rows
        return AddAction(file, path.stat().st_size, {}, int(path.stat().st_mtime * 1000), True, json.dumps({"numRecords": rows}))
