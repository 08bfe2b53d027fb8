"""Which products a client is offered on the income card: a catalogue of conditions on segment, income and features."""

import operator
from collections.abc import Collection, Mapping
from string import Formatter
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from bentos.catalogue import Entry, Segment, Tenge
from features.columns.models import MODEL_COLUMNS

_DTYPES = {column.name: column.dtype for column in MODEL_COLUMNS["income"]}
_OPERATORS = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


class Rule(Entry):
    """A condition on one feature; a missing value does not meet it, whatever the operator."""

    feature: str
    operator: Literal["eq", "ne", "lt", "le", "gt", "ge"]
    value: float | str

    @model_validator(mode="after")
    def _sensible(self) -> "Rule":
        if self.feature not in _DTYPES:
            raise ValueError(f"the income model has no feature {self.feature}: use a name of the income feature set")
        text = _DTYPES[self.feature] == "string"
        if text != isinstance(self.value, str):
            raise ValueError(f"{self.feature} is compared with {'a text' if text else 'a number'}")
        if text and self.operator not in ("eq", "ne"):
            raise ValueError(f"{self.feature} is a text: only eq and ne compare texts")
        return self

    def met(self, features: Mapping[str, Any]) -> bool:
        """Whether these features meet it."""
        value = features.get(self.feature)
        return value is not None and bool(_OPERATORS[self.operator](value, self.value))


class Offering(Entry):
    """A product and who it is for."""

    code: str = Field(pattern="^[a-z][a-z0-9_]*$")
    name: str
    name_en: str
    description: str
    description_en: str
    reason: str
    reason_en: str
    segments: tuple[Literal["low", "middle", "high", "premium"], ...] = ("low", "middle", "high", "premium")
    least_income: Tenge = 0.0
    largest_income: Tenge | None = None
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _speaks(self) -> "Offering":
        known = {"income", "segment", *(rule.feature for rule in self.rules)}
        for text in (self.reason, self.reason_en):
            for _, name, form, _ in Formatter().parse(text):
                if name is not None and (name not in known or form):
                    raise ValueError(f"reason may only use the placeholders {', '.join(sorted(known))}, bare, not {{{name}}}")
        return self

    def suits(self, segment: str, income: float, features: Mapping[str, Any]) -> bool:
        """Whether a client in this segment, with this income (tenge a month) and these features, is offered it."""
        return (
            segment in self.segments
            and income >= self.least_income
            and (self.largest_income is None or income <= self.largest_income)
            and all(rule.met(features) for rule in self.rules)
        )


class Offerings(Entry):
    """catalogues/offerings.toml"""

    offering: tuple[Offering, ...]

    @model_validator(mode="after")
    def _distinct(self) -> "Offerings":
        codes = [offering.code for offering in self.offering]
        repeated = {code for code in codes if codes.count(code) > 1}
        if repeated:
            raise ValueError(f"codes have to differ: {', '.join(sorted(repeated))} is there twice")
        return self


class OfferedProduct(BaseModel):
    """A product for this client."""

    code: str = Field(description="For programs.")
    name: str = Field(description="Russian.")
    description: str = Field(description="Russian.")
    reason: str = Field(description="Why this client, Russian.")
    name_en: str = Field(description="English.")
    description_en: str = Field(description="English.")
    reason_en: str = Field(description="Why this client, English.")


def offered(
    catalogue: Offerings, segment: Segment, income: float, features: Mapping[str, Any], held: Collection[str]
) -> list[OfferedProduct]:
    """The products for a client, in the catalogue's order; what the client already holds is left out.

    Args:
        catalogue: the offerings.
        segment, income: as predicted, tenge a month.
        features: as the model saw them.
        held: names of the products that the client has.
    """
    return [
        _product(offering, segment, income, features)
        for offering in catalogue.offering
        if offering.name not in held and offering.suits(segment.code, income, features)
    ]


def _product(offering: Offering, segment: Segment, income: float, features: Mapping[str, Any]) -> OfferedProduct:
    values = {**features, "income": round(income, -3)}
    russian, english = ({name: _figure(value, sign) for name, value in values.items()} for sign in ",.")
    return OfferedProduct(
        code=offering.code,
        name=offering.name,
        description=offering.description,
        reason=offering.reason.format_map({**russian, "segment": segment.name_ru}),
        name_en=offering.name_en,
        description_en=offering.description_en,
        reason_en=offering.reason_en.format_map({**english, "segment": segment.name_en}),
    )


def _figure(value: object, decimal_sign: str) -> str:
    if not isinstance(value, int | float):
        return str(value)
    return f"{value:,.0f}".replace(",", "\u00a0") if abs(value) >= 10 else f"{value:.2g}".replace(".", decimal_sign)
