"""The catalogues that business people edit, read and checked when a service starts."""

import tomllib
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bentos.tariffs import Credit, Facts, Tariff
from edge.errors import validation_refusal
from features.code_lists import PRODUCTS, STATUSES

Share = Annotated[float, Field(ge=0, le=1)]
Tenge = Annotated[float, Field(ge=0, le=1e12)]
Months = Annotated[int, Field(ge=1, le=600)]
_LARGEST_PAYMENT_SHARE = 0.5
_SEGMENTS = ("low", "middle", "high", "premium")


class CatalogueError(Exception):
    """A catalogue file is missing or says something impossible; the message names the file, the entry and what is expected."""


class Entry(BaseModel):
    """A table of a catalogue: unknown keys are refused, so that a misspelt key is not silently without effect."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Segment(Entry):
    """An income segment."""

    code: str
    name_ru: str
    name_en: str


class Segments(Entry):
    """catalogues/segments.toml"""

    segment: tuple[Segment, ...]

    @model_validator(mode="after")
    def _complete(self) -> "Segments":
        if tuple(segment.code for segment in self.segment) != _SEGMENTS:
            raise ValueError(f"segments have to be {', '.join(_SEGMENTS)}, in this order")
        return self

    def of(self, income: float, borders: tuple[float, ...]) -> Segment:
        """The segment of a monthly income, tenge; `borders` are the incomes at which the second, third, … segment begins."""
        return self.segment[sum(income >= border for border in borders)]


class Eligibility(Entry):
    """Who may be offered a product; an absent limit does not limit."""

    least_age: int = Field(0, ge=0, le=120)
    largest_age: int = Field(120, ge=0, le=120)
    least_balance: float = Field(-1e12, description="Average monthly balance, tenge.")
    least_income: Tenge = Field(0.0, description="Money that comes in a month, tenge.")
    largest_payment_share: Share | None = Field(None, description="Loan payments a month / money that comes in a month.")
    statuses: tuple[str, ...] = STATUSES

    @model_validator(mode="after")
    def _known_statuses(self) -> "Eligibility":
        unknown = set(self.statuses) - set(STATUSES)
        if unknown:
            raise ValueError(f"statuses {', '.join(sorted(unknown))} are none of {', '.join(STATUSES)}")
        return self

    def admits(self, age: int, status: str, facts: Facts) -> bool:
        """Whether a client of this age (years) and status with these facts may have the product."""
        return (
            self.least_age <= age <= self.largest_age
            and status in self.statuses
            and facts.balance >= self.least_balance
            and facts.income >= self.least_income
            and (self.largest_payment_share is None or facts.payment_share <= self.largest_payment_share)
        )


class Product(Entry):
    """A product: what it is worth to a client, who may have it and the sentence that says why.

    `reason` is Russian and may use the placeholders {fact} (tenge a month, or the amount that the formula looks at) and {benefit}
    (tenge in 12 months).
    """

    name: str
    reason: str
    tariff: Tariff = Field(discriminator="kind")
    eligibility: Eligibility = Eligibility()

    @model_validator(mode="after")
    def _speaks(self) -> "Product":
        try:
            self.reason.format(fact="1", benefit="1")
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"reason may only use the placeholders {{fact}} and {{benefit}}, not {error}") from error
        return self

    @model_validator(mode="after")
    def _lends_with_care(self) -> "Product":
        share = self.eligibility.largest_payment_share
        if isinstance(self.tariff, Credit) and (share is None or share > _LARGEST_PAYMENT_SHARE):
            raise ValueError(
                f"credit needs eligibility.largest_payment_share of at most {_LARGEST_PAYMENT_SHARE}: it is never offered to "
                "those whose payments exceed half of income"
            )
        return self


class Products(Entry):
    """catalogues/products.toml"""

    product: tuple[Product, ...]

    @model_validator(mode="after")
    def _complete(self) -> "Products":
        names = [product.name for product in self.product]
        if sorted(names) != sorted(PRODUCTS):
            raise ValueError(f"each of these products has to be there once: {', '.join(PRODUCTS)}")
        return self


Catalogue = TypeVar("Catalogue", bound=Entry)


def load_catalogue(kind: type[Catalogue], folder: Path) -> Catalogue:
    """Read `Segments`, `Banks` or `Products` from `segments.toml`, `banks.toml` or `products.toml` in `folder`.

    Raises:
        CatalogueError: the file is missing, is no TOML, or an entry is wrong.
    """
    path = folder / f"{kind.__name__.lower()}.toml"
    try:
        return kind.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise CatalogueError(f"{path} cannot be read ({error.strerror}): restore it or set OPORA_CATALOGUES") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        said = validation_refusal([{**item, "loc": ("catalogue", *item["loc"])} for item in error.errors()])
        raise CatalogueError(f"{path}: {said.message}") from error
