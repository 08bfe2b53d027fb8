"""What a product is worth to a client: the few kinds of formula that catalogues/products.toml fills with figures.

Every formula gives tenge over the next 12 months, assuming that the client goes on as in the last 90 days.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.categories import CATEGORIES

MONTHS = 12
Rate = Annotated[float, Field(gt=0, le=1)]
Amount = Annotated[float, Field(ge=0, le=1e12)]


@dataclass(frozen=True)
class Facts:
    """What the formulas look at; amounts are tenge a month unless said otherwise.

    Attributes:
        spending: purchases by category name.
        balance: average balance, tenge.
        income: money that comes in from outside.
        payments: payments on loans, credit cards and instalments.
        outflow: everything that leaves the account.
        exchanged: volume of currency bought and sold.
        transferred: transfers to other people.
    """

    spending: Mapping[str, float]
    balance: float
    income: float
    payments: float
    outflow: float
    exchanged: float
    transferred: float

    @property
    def payment_share(self) -> float:
        """Payments as a share of income; infinite when there are payments and no income."""
        if self.income > 0:
            return self.payments / self.income
        return float("inf") if self.payments > 0 else 0.0


@dataclass(frozen=True)
class Benefit:
    """`tenge` over 12 months, and the `fact` it rests on (tenge; what it is depends on the kind of tariff).

    `capped`: the tariff's monthly cap cuts the benefit, so that it is less than the rate promises.
    """

    tenge: float
    fact: float
    capped: bool = False


class _Tariff(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _ByCategory(_Tariff):
    @model_validator(mode="after")
    def _known_categories(self) -> "_ByCategory":
        unknown = set(getattr(self, "categories", ())) - set(CATEGORIES)
        if unknown:
            raise ValueError(f"unknown categories {', '.join(sorted(unknown))}: use those of the transactions table")
        return self


class Cashback(_ByCategory):
    """`rate` of purchases in `categories` (none named = all), at most `monthly_cap` tenge a month. Fact: those purchases."""

    kind: Literal["cashback"]
    rate: Rate
    categories: tuple[str, ...] = ()
    monthly_cap: Amount

    def benefit(self, facts: Facts) -> Benefit:
        spent = _spent(facts, self.categories or tuple(CATEGORIES))
        return _up_to(self.monthly_cap, self.rate * spent, spent)


class TopCashback(_Tariff):
    """`rate` of the `count` largest categories, at most `monthly_cap` tenge a month. Fact: purchases in those categories."""

    kind: Literal["top_cashback"]
    rate: Rate
    count: Annotated[int, Field(ge=1, le=len(CATEGORIES))]
    monthly_cap: Amount

    def benefit(self, facts: Facts) -> Benefit:
        spent = sum(sorted(facts.spending.values(), reverse=True)[: self.count])
        return _up_to(self.monthly_cap, self.rate * spent, spent)


class Tier(_Tariff):
    """From this balance (tenge) on, this share of purchases."""

    from_balance: Amount
    rate: Rate


class TieredCashback(_ByCategory):
    """A share of all purchases that grows with the balance, plus `extra_rate` of purchases in `categories`.

    Both together at most `monthly_cap` tenge a month. Fact: all purchases.
    """

    kind: Literal["tiered_cashback"]
    tiers: Annotated[tuple[Tier, ...], Field(min_length=1)]
    categories: tuple[str, ...]
    extra_rate: Rate
    monthly_cap: Amount

    @model_validator(mode="after")
    def _rising(self) -> "TieredCashback":
        starts = [tier.from_balance for tier in self.tiers]
        if starts[0] != 0 or starts != sorted(set(starts)):
            raise ValueError("tiers have to begin at from_balance = 0 and rise")
        return self

    def rate(self, balance: float) -> float:
        """The share of all purchases at this balance, tenge; below the first tier the first tier's."""
        return [tier.rate for tier in self.tiers if balance >= tier.from_balance or tier.from_balance == 0][-1]

    def benefit(self, facts: Facts) -> Benefit:
        spent = sum(facts.spending.values())
        monthly = self.rate(facts.balance) * spent + self.extra_rate * _spent(facts, self.categories)
        return _up_to(self.monthly_cap, monthly, spent)


class Deposit(_Tariff):
    """Interest on the balance that lies still: what a month's outflow does not touch. Fact: that balance."""

    kind: Literal["deposit"]
    rate_yearly: Rate

    def benefit(self, facts: Facts) -> Benefit:
        still = max(0.0, facts.balance - facts.outflow)
        return Benefit(self.rate_yearly * still, still)


class Spread(_Tariff):
    """The part of exchanged volume that a better rate saves. Fact: that volume."""

    kind: Literal["spread"]
    saved: Rate

    def benefit(self, facts: Facts) -> Benefit:
        return Benefit(MONTHS * self.saved * facts.exchanged, facts.exchanged)


class Fees(_Tariff):
    """The commission on transfers to people that is no longer taken, at most `monthly_cap` tenge. Fact: those transfers."""

    kind: Literal["fees"]
    fee: Rate
    monthly_cap: Amount

    def benefit(self, facts: Facts) -> Benefit:
        return _up_to(self.monthly_cap, self.fee * facts.transferred, facts.transferred)


class Credit(_Tariff):
    """What the first 12 instalments cost less than at the market's rate, for the loan that cash flow supports.

    The instalment may use what `payment_share` of income leaves after present payments. No benefit when the supported loan is
    below `least_amount`. Fact: the supported loan, tenge.
    """

    kind: Literal["credit"]
    rate_yearly: Rate
    market_rate_yearly: Rate
    term: Annotated[int, Field(ge=12, le=600, description="Months.")]
    least_amount: Amount
    largest_amount: Amount
    payment_share: Rate

    def benefit(self, facts: Facts) -> Benefit:
        free = max(0.0, self.payment_share * facts.income - facts.payments)
        amount = min(free / instalment(1.0, self.rate_yearly, self.term), self.largest_amount)
        if amount < self.least_amount:
            return Benefit(0.0, amount)
        saved = instalment(amount, self.market_rate_yearly, self.term) - instalment(amount, self.rate_yearly, self.term)
        return Benefit(MONTHS * max(0.0, saved), amount)


Tariff = Cashback | TopCashback | TieredCashback | Deposit | Spread | Fees | Credit


def instalment(amount: float, rate_yearly: float, term: float) -> float:
    """Equal monthly payment, tenge, of a loan over `term` months: A·i / (1 − (1 + i)^−n) with i = yearly rate / 12."""
    monthly = rate_yearly / 12
    if monthly == 0:
        return amount / term
    return float(amount * monthly / (1 - (1 + monthly) ** -term))


def _up_to(cap: float, monthly: float, fact: float) -> Benefit:
    return Benefit(MONTHS * min(monthly, cap), fact, monthly > cap)


def _spent(facts: Facts, categories: tuple[str, ...]) -> float:
    return sum(facts.spending.get(category, 0.0) for category in categories)
