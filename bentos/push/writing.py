"""The push text of a client: one observed fact, the benefit in money, one call to action; the same inputs give the same text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import orjson

from bentos.push.checks import PushText, broken_rules
from bentos.push.grammar import amount_text, for_month, given_name, in_month, listed, rounded, share_text
from bentos.push.texts import Push, Variant


@dataclass(frozen=True)
class Observation:
    """What the bank has seen that speaks for a product; None = not seen, or nothing to name.

    Attributes:
        amount: tenge; what it is depends on the tariff (see `bentos.push.facts`).
        month: first day of the newest full month.
        month_amount: tenge in that month.
        share: share of income that goes into payments, 0 to 1.
        categories: names of purchase categories, the largest first.
        rate: the tariff's rate, a share.
    """

    amount: float | None = None
    month: date | None = None
    month_amount: float | None = None
    share: float | None = None
    categories: tuple[str, ...] = ()
    rate: float | None = None

    def json(self) -> str:
        """As it is stored beside a recommendation."""
        return orjson.dumps(self).decode()

    @classmethod
    def from_json(cls, text: str) -> Observation:
        """What `json` gave."""
        values = orjson.loads(text)
        month = values["month"] and date.fromisoformat(values["month"])
        return cls(**{**values, "month": month, "categories": tuple(values["categories"])})


def push_text(texts: Push, client_code: str, name: str | None, product: str, benefit: float, seen: Observation) -> str | None:
    """The text for a client, None when no variant keeps every rule.

    The client's code decides with which variant the search begins, so that neighbours get different sentences and a client
    always the same. A variant whose facts are unknown is passed over; a name that breaks a rule is left out.

    Args:
        texts: the catalogue.
        name: as it is stored; whatever cannot be a name is left out.
        benefit: tenge over 12 months.
    """
    values = _values(texts, benefit, seen)
    variants = texts.of(product)
    known = [variant for variant in variants if variant.needs <= values.keys()]
    ordered = _rotated(known, f"{client_code}\n{product}") if known else []
    for push in _attempts(ordered, given_name(name), values):
        if not broken_rules(push):
            return push.text
    return None


def _attempts(variants: Sequence[Variant], name: str | None, values: Mapping[str, str]) -> Iterator[PushText]:
    for called in dict.fromkeys((name, None)):
        for variant in variants:
            yield variant.filled(called, values)


def _rotated(variants: list[Variant], key: str) -> list[Variant]:
    """The variants from the one that `key` decides on; the last of the catalogue, which always fits, stays the last resort."""
    *first, last = variants
    if not first:
        return [last]
    start = int.from_bytes(hashlib.sha256(key.encode("utf-8", "replace")).digest()[:8]) % len(first)
    return [*first[start:], *first[:start], last]


def _values(texts: Push, benefit: float, seen: Observation) -> dict[str, str]:
    """What is known, written out; amounts that come to nothing are not facts."""
    values = {"benefit": amount_text(rounded(benefit))}
    if seen.amount is not None and seen.amount >= 1:
        values["amount"] = amount_text(seen.amount)
    if seen.month is not None and seen.month_amount is not None and seen.month_amount >= 1:
        values |= {
            "month_amount": amount_text(seen.month_amount),
            "in_month": in_month(seen.month),
            "for_month": for_month(seen.month),
        }
    if seen.share is not None and 0.01 <= seen.share < 0.995:
        values["share"] = share_text(round(seen.share, 2))
    named = [texts.categories[category] for category in seen.categories if category in texts.categories]
    if named and len(named) == len(seen.categories):
        values["subjects"] = listed(named)
    if seen.rate is not None:
        values["rate"] = share_text(seen.rate)
    return values
