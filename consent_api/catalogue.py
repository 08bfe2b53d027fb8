"""The public lists that consents refer to: companies, data types and purposes, from catalogues/*.toml."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]

EVERYBODY, OTHER = "all", "other"
"""The segment that is no breakdown, and the cell of whoever fits no other."""
_RANGE = re.compile(r"(\d{1,3})(?:-(\d{1,3})|\+)", re.ASCII)
_ENDLESS = 10**6
_ROUNDING = 1e-9


class BrokenCatalogue(Exception):
    """A catalogue file contradicts itself; the message names the file and the entry to mend."""


class NotInCatalogue(Exception):
    """A company, data type or purpose that no catalogue lists.

    Attributes:
        field: what kind of thing it is, as the request names it.
    """

    def __init__(self, field: str, known: list[str]) -> None:
        super().__init__(f"this {field.replace('_', ' ')} is not known: choose one of {', '.join(known)}")
        self.field = field


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Company(_Entry):
    """A partner, as clients see it."""

    name_ru: str
    name_en: str
    about_ru: str
    about_en: str


class Purpose(_Entry):
    """What a partner may use aggregates for, as clients read it."""

    text_ru: str
    text_en: str


class Segment(_Entry):
    """A public list of cells that figures are broken down by: see the head of catalogues/data_types.toml."""

    title_ru: str
    title_en: str
    column: Literal["age", "city", "status"]
    cells: tuple[Annotated[str, StringConstraints(min_length=1, max_length=64)], ...] = Field(min_length=1, max_length=100)
    rho_share: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _each_once(self) -> "Segment":
        if len(set(self.cells)) != len(self.cells) or OTHER in self.cells:
            raise ValueError(f"cells are named once, and none {OTHER!r}: that is the cell of whoever fits no other")
        if self.column == "age":
            self.ranges()
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """All cells, with the one of whoever fits no other at the end."""
        return (*self.cells, OTHER)

    def ranges(self) -> list[tuple[int, int]]:
        """First and last whole number of each cell.

        Raises:
            ValueError: a cell is no range, or two overlap.
        """
        found = [_RANGE.fullmatch(cell) for cell in self.cells]
        if not all(found):
            raise ValueError("cells of a number are ranges like 18-24 or, without an end, 65+")
        ranges = [(int(each[1]), int(each[2]) if each[2] else _ENDLESS) for each in found if each]
        ordered = sorted(ranges)
        if any(first > last for first, last in ranges) or any(before[1] >= after[0] for before, after in pairwise(ordered)):
            raise ValueError("a range ends before it begins, or overlaps another")
        return ranges


class Report(_Entry):
    """How a data type is released: see the head of catalogues/data_types.toml."""

    purpose: Word
    rho_share: float = Field(gt=0, le=1)
    bounds: dict[str, Annotated[int, Field(ge=1, le=10**7)]]
    shares: dict[Word, Annotated[float, Field(gt=0, le=1)]]

    @model_validator(mode="after")
    def _divided(self) -> "Report":
        if abs(sum(self.shares.values()) - 1) > _ROUNDING:
            raise ValueError("the shares of a report add up to 1")
        return self


class DataType(_Entry):
    """What a consent is about; without `report` nothing is released of it yet."""

    title_ru: str
    title_en: str
    report: Report | None = None


class Catalogue(_Entry):
    """All lists, consistent with each other."""

    companies: dict[Slug, Company]
    data_types: dict[Word, DataType]
    purposes: dict[Word, Purpose]
    default_purpose: Word
    segments: dict[Word, Segment]
    income_segments: tuple[Slug, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _agree(self) -> "Catalogue":
        named = {self.default_purpose, *(report.purpose for report in self.reports.values())}
        if not named <= set(self.purposes):
            raise ValueError(f"purposes.toml has no {', '.join(sorted(named - set(self.purposes)))}")
        if sum(report.rho_share for report in self.reports.values()) > 1 + _ROUNDING:
            raise ValueError("the rho_share of the reports in data_types.toml add up to more than 1")
        if sum(segment.rho_share for segment in self.segments.values()) >= 1 or EVERYBODY in self.segments:
            raise ValueError(f"the rho_share of the segments leave something for {EVERYBODY!r}, which is none of them")
        return self

    @property
    def reports(self) -> dict[str, Report]:
        """The data types that are released, and how."""
        return {name: kind.report for name, kind in self.data_types.items() if kind.report is not None}

    def require_company(self, company: str) -> None:
        """Raises NotInCatalogue: no such company."""
        if company not in self.companies:
            raise NotInCatalogue("company", sorted(self.companies))

    def require_data_types(self, data_types: list[str], field: str = "data_types") -> None:
        """Raises NotInCatalogue: one of them is no data type."""
        if not set(data_types) <= set(self.data_types):
            raise NotInCatalogue(field, sorted(self.data_types))

    def require_segment(self, segment: str) -> None:
        """Raises NotInCatalogue: figures are not broken down by this."""
        if segment not in self.segments:
            raise NotInCatalogue("segment", sorted(self.segments))

    def require_purpose(self, purpose: str) -> None:
        """Raises NotInCatalogue: no such purpose."""
        if purpose not in self.purposes:
            raise NotInCatalogue("purpose", sorted(self.purposes))


def load_catalogue(folder: Path) -> Catalogue:
    """Read companies.toml, data_types.toml, purposes.toml and segments.toml.

    Raises:
        BrokenCatalogue: a file is absent, is not TOML or contradicts another.
    """
    try:
        companies, data_types, purposes, incomes = (
            tomllib.loads((folder / f"{name}.toml").read_text()) for name in ("companies", "data_types", "purposes", "segments")
        )
        return Catalogue(
            companies=companies["company"],
            data_types=data_types["data_type"],
            purposes=purposes["purpose"],
            default_purpose=purposes["default"],
            segments=data_types["segment"],
            income_segments=[segment["code"] for segment in incomes["segment"]],
        )
    except (OSError, tomllib.TOMLDecodeError, KeyError, ValidationError) as error:
        raise BrokenCatalogue(f"the catalogues in {folder} cannot be used: {error}") from error
