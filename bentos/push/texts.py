"""catalogues/push.toml: the sentences that push texts are made of, checked when they are read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from bentos.catalogue import Entry, Tenge
from bentos.push.checks import PushText, broken_rules
from bentos.push.grammar import amount_text, capitalised, for_month, in_month
from features.categories import CATEGORIES
from features.code_lists import PRODUCTS

FACTS = ("month_amount", "amount", "share", "subjects")
"""Placeholders of an observed fact: tenge in the newest full month, tenge, per cent, a list of categories."""

PLACEHOLDERS = frozenset((*FACTS, "in_month", "for_month", "rate", "benefit"))
Sentence = Annotated[str, StringConstraints(min_length=40, max_length=250)]
_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_EXAMPLES = (
    {"in_month": in_month(date(2026, 5, 1)), "for_month": for_month(date(2026, 5, 1)), "amount": 1_500.0, "share": "3 %"},
    {"in_month": in_month(date(2026, 9, 1)), "for_month": for_month(date(2026, 9, 1)), "amount": 88_888_888.0, "share": "16,5 %"},
)
_NAMES = (None, "Ли", "Александра-Мария")


class Variant(Entry):
    """One way to say it: a text without the greeting, which begins in lower case unless it is a name of its own.

    Placeholders: one observed fact ({month_amount}, {amount}, {share} or {subjects}; {subjects} may stand beside an amount),
    {in_month} (в декабре) or {for_month} (за декабрь) beside {month_amount}, {rate} of the tariff, {benefit}.
    """

    text: Sentence

    @property
    def needs(self) -> frozenset[str]:
        """Placeholders that have to be known."""
        return frozenset(_PLACEHOLDER.findall(self.text))

    @property
    def fact(self) -> str:
        """The placeholder that is the observed fact: the first of `FACTS` that the text has."""
        return next(name for name in FACTS if name in self.needs)

    @model_validator(mode="after")
    def _says_what_it_can(self) -> Variant:
        unknown = self.needs - PLACEHOLDERS
        if unknown or "{" in _PLACEHOLDER.sub("", self.text) or "}" in _PLACEHOLDER.sub("", self.text):
            raise ValueError(f"only these placeholders may be used: {', '.join(sorted(PLACEHOLDERS))}")
        if len(self.needs & set(FACTS[:3])) > 1 or not self.needs & set(FACTS):
            raise ValueError("a text says one observed fact: {month_amount}, {amount}, {share} or {subjects}")
        if bool(self.needs & {"in_month", "for_month"}) != ("month_amount" in self.needs):
            raise ValueError("{month_amount} stands beside {in_month} or {for_month}")
        return self

    def filled(self, name: str | None, values: Mapping[str, str]) -> PushText:
        """The text for a client; `values` has what `needs` asks for, written out."""
        body = _PLACEHOLDER.sub(lambda found: values[found[1]], self.text)
        text = capitalised(body) if name is None else f"{name}, {body}"
        return PushText(text, name, values[self.fact], values["benefit"])


class ProductTexts(Entry):
    """The variants for a product; which one a client gets is decided by its code, the last one is what always fits."""

    product: str
    variant: Annotated[tuple[Variant, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _fits(self) -> ProductTexts:
        for place, variant in enumerate(self.variant, 1):
            for example in _examples(variant):
                broken = broken_rules(example)
                if broken:
                    raise ValueError(
                        f"variant {place} of {self.product} breaks a rule of push texts: it {broken[0]} ({example.text})"
                    )
        if self.variant[-1].needs & {"month_amount", "subjects"}:
            raise ValueError(
                f"the last variant of {self.product} has to do without a month and without subjects, so that it always fits"
            )
        return self


class Push(Entry):
    """catalogues/push.toml: `least_benefit` (tenge a year) below which nobody is disturbed, names of categories, texts."""

    least_benefit: Tenge
    categories: Mapping[str, str]
    texts: tuple[ProductTexts, ...]

    @model_validator(mode="after")
    def _complete(self) -> Push:
        if sorted(entry.product for entry in self.texts) != sorted(PRODUCTS):
            raise ValueError(f"each of these products has to be there once: {', '.join(PRODUCTS)}")
        unknown = set(self.categories) - set(CATEGORIES)
        if unknown:
            raise ValueError(f"unknown categories {', '.join(sorted(unknown))}: use those of the transactions table")
        return self

    def of(self, product: str) -> tuple[Variant, ...]:
        """The variants for a product."""
        return next(entry.variant for entry in self.texts if entry.product == product)


def _examples(variant: Variant) -> Iterator[PushText]:
    """The text with short and with long values, as the checks have to accept it."""
    for example in _EXAMPLES:
        amount = amount_text(float(str(example["amount"])))
        values = {name: str(value) for name, value in example.items()} | {
            "amount": amount,
            "month_amount": amount,
            "subjects": "такси" if example is _EXAMPLES[0] else "продукты, косметику и путешествия",
            "rate": "16,5 %",
            "benefit": amount_text(27_400 if example is _EXAMPLES[0] else 12_300_000),
        }
        yield from (variant.filled(name, values) for name in _NAMES)
