"""The partner banks as catalogues/banks.toml describes them: terms, thresholds, and which fields of the form are in use."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from bentos.catalogue import Entry, Months, Share, Tenge
from features.tables import FORM

_FORM_FIELDS = tuple(column.name for column in FORM)


class Bank(Entry):
    """The terms of a partner bank; rates are shares, amounts tenge, terms months."""

    name: str
    rate_yearly: Share
    fee: Share
    least_amount: Tenge
    largest_amount: Tenge
    shortest_term: Months
    longest_term: Months
    threshold: Share | None = Field(None, description="Probability from which it approves; absent = the model version's own.")

    def lends(self, amount: float, term: float) -> bool:
        """Whether the loan lies within the bank's limits."""
        return self.least_amount <= amount <= self.largest_amount and self.shortest_term <= term <= self.longest_term


class Reference(Entry):
    """The loan that an offer is compared with."""

    rate_yearly: Share
    amount: Tenge
    term: Months


class Form(Entry):
    """Which fields of the form are in use; the others are accepted and not looked at."""

    fields: tuple[str, ...] = _FORM_FIELDS

    @model_validator(mode="after")
    def _known_fields(self) -> "Form":
        unknown = set(self.fields) - set(_FORM_FIELDS)
        if unknown:
            raise ValueError(f"fields {', '.join(sorted(unknown))} are none of {', '.join(_FORM_FIELDS)}")
        return self


class Banks(Entry):
    """catalogues/banks.toml"""

    reference: Reference
    form: Form = Form()
    bank: Mapping[str, Bank]

    def threshold(self, code: str, trained: float) -> float:
        """Probability from which a bank approves: the catalogue's, where it names one, otherwise that of the model version."""
        bank = self.bank.get(code)
        return trained if bank is None or bank.threshold is None else bank.threshold

    def lend(self, code: str, form: Mapping[str, Any]) -> bool:
        """Whether the loan that a form asks for lies within a bank's limits; what it does not say is the reference loan's.

        A bank that is not in the catalogue has no limits that we know.
        """
        bank = self.bank.get(code)
        amount, term = form["loan_amount"] or self.reference.amount, form["loan_term"] or self.reference.term
        return bank is None or bank.lends(amount, term)
