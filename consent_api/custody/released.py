"""The log of releases: what partners can have read, on disk outside the database before it is served.

With it a restored backup serves the same bytes again, instead of having a month made anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from consent_api.custody.append_only import AppendOnlyFile
from consent_api.custody.chained import LINKS, chained, intact

Subject = tuple[str, str, str]
"""Company, data type, month: there is one release of each."""


@dataclass(frozen=True)
class Released:
    """A published release: what it is about, what was paid for it in `year` (in 10^-9 rho), and its documents by segment."""

    release_id: str
    company: str
    data_type: str
    period: str
    begun_at: datetime
    year: int
    rho_nano: int
    published_at: datetime
    documents: dict[str, str | None]

    @property
    def subject(self) -> Subject:
        """What there is one release of."""
        return (self.company, self.data_type, self.period)


_MOMENTS = ("begun_at", "published_at")
_SEALED = (*Released.__dataclass_fields__, *LINKS)


def keep(log: AppendOnlyFile, releases: Sequence[Released]) -> None:
    """Write releases to the log; they are on disk when this returns.

    Raises:
        OSError: they could not be written, and must not be published.
    """
    if releases:
        log.append(lambda newest: chained(newest, map(_fields, releases), _SEALED))


def kept(log: AppendOnlyFile) -> dict[Subject, Released]:
    """Every release in the log; of one whose publication failed at first, the line of the later attempt.

    Raises:
        NotAsWritten: a line was changed, removed or put in.
    """
    lines = intact(log.read(), _SEALED)
    releases = (_released({name: line[name] for name in Released.__dataclass_fields__}) for line in lines)
    return {each.subject: each for each in releases}


def _fields(released: Released) -> dict[str, Any]:
    return vars(released) | {name: getattr(released, name).isoformat() for name in _MOMENTS}


def _released(fields: dict[str, Any]) -> Released:
    return Released(**fields | {name: datetime.fromisoformat(fields[name]) for name in _MOMENTS})
