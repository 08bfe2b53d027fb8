"""The calendar months that reports are about."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

PATTERN = r"^20[0-9][0-9]-(0[1-9]|1[0-2])$"


class NotAPeriod(ValueError):
    """A month is written like 2026-10."""


@dataclass(frozen=True)
class Period:
    """A calendar month in UTC: from `start` until just before `end`."""

    year: int
    month: int

    @classmethod
    def of(cls, text: str) -> "Period":
        """The month written `text`, like "2026-10".

        Raises:
            NotAPeriod: it is not written so.
        """
        if not re.fullmatch(PATTERN, text):
            raise NotAPeriod(f"{text!r} is not a month: write it like 2026-10")
        return cls(int(text[:4]), int(text[5:]))

    @property
    def start(self) -> datetime:
        """Its first moment."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The first moment after it."""
        return datetime(self.year + self.month // 12, self.month % 12 + 1, 1, tzinfo=UTC)

    def __str__(self) -> str:
        return f"{self.year}-{self.month:02d}"
