"""The public lists that consents refer to: companies, data types and purposes, from catalogues/*.toml."""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


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


class Report(_Entry):
    """How a data type is released: see the head of catalogues/data_types.toml."""

    purpose: Word
    rho_share: float = Field(gt=0, le=1)
    spending_share: float = Field(gt=0, lt=1)
    most_categories: int = Field(ge=1)
    largest_spending_KZT: int = Field(ge=1, le=10**9)  # noqa: N815 - the currency as tables.md writes it


class DataType(_Entry):
    """What a consent is about; without `report` nothing is released of it yet."""

    title_ru: str
    title_en: str
    report: Report | None = None


class Catalogue(_Entry):
    """All three lists, consistent with each other."""

    companies: dict[Slug, Company]
    data_types: dict[Word, DataType]
    purposes: dict[Word, Purpose]
    default_purpose: Word

    @model_validator(mode="after")
    def _agree(self) -> "Catalogue":
        named = {self.default_purpose, *(report.purpose for report in self.reports.values())}
        if not named <= set(self.purposes):
            raise ValueError(f"purposes.toml has no {', '.join(sorted(named - set(self.purposes)))}")
        if sum(report.rho_share for report in self.reports.values()) > 1 + 1e-12:
            raise ValueError("the rho_share of the reports in data_types.toml add up to more than 1")
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

    def require_purpose(self, purpose: str) -> None:
        """Raises NotInCatalogue: no such purpose."""
        if purpose not in self.purposes:
            raise NotInCatalogue("purpose", sorted(self.purposes))


def load_catalogue(folder: Path) -> Catalogue:
    """Read companies.toml, data_types.toml and purposes.toml.

    Raises:
        BrokenCatalogue: a file is absent, is not TOML or contradicts another.
    """
    try:
        companies, data_types, purposes = (
            tomllib.loads((folder / f"{name}.toml").read_text()) for name in ("companies", "data_types", "purposes")
        )
        return Catalogue(
            companies=companies["company"],
            data_types=data_types["data_type"],
            purposes=purposes["purpose"],
            default_purpose=purposes["default"],
        )
    except (OSError, tomllib.TOMLDecodeError, KeyError, ValidationError) as error:
        raise BrokenCatalogue(f"the catalogues in {folder} cannot be used: {error}") from error
