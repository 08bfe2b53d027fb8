"""What became of a file that was ingested."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class IngestSummary:
    """The version a file produced, how it was read, and how many rows each rule turned away.

    `read` counts the data rows of the file; `ignored_columns` names those of its columns that the table does not have.
    """

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
        """One row for each count, for a table artifact."""
        about = {"table": self.table, "file": self.file, "version": self.version, "dialect": self.dialect}
        counts = {"already ingested" if self.already_ingested else "ingested": self.landed, "read": self.read}
        counts |= {f"quarantined: {rule}": count for rule, count in self.quarantined.items()}
        counts |= {f"ignored column: {name}": self.read for name in self.ignored_columns}
        return [{**about, "what": what, "rows": count} for what, count in counts.items()]

    def record(self) -> dict[str, Any]:
        """The summary as JSON values, to be kept with the commit."""
        return {**asdict(self), "ignored_columns": list(self.ignored_columns)}

    @classmethod
    def from_record(cls, record: dict[str, Any], already_ingested: bool) -> "IngestSummary":
        """The summary that `record` gave."""
        return cls(**{**record, "ignored_columns": tuple(record["ignored_columns"]), "already_ingested": already_ingested})
