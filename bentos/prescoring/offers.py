"""Which banks' loans to offer, best first by what the client may expect to save."""

from collections.abc import Mapping

from pydantic import BaseModel, Field

from bentos.prescoring.banks import Banks
from bentos.tariffs import instalment


class Offer(BaseModel):
    """A loan that a bank would probably give."""

    bank: str = Field(description="Code of the bank.")
    name: str = Field(description="Name of the bank.")
    probability: float = Field(description="Probability of approval, 0 to 1.")
    amount: float = Field(description="Loan, tenge.")
    term: float = Field(description="Term, months.")
    rate_yearly: float = Field(description="Nominal interest, share of the debt a year.")
    monthly_payment: float = Field(description="Equal monthly payment, tenge.")
    saving: float = Field(description="What it costs less than the reference loan of the catalogue, tenge over the whole term.")
    expected_value: float = Field(description="probability × saving, tenge; the order of the offers.")


def offers(banks: Banks, approving: Mapping[str, float], amount: float | None, term: float | None) -> list[Offer]:
    """Offers of the banks that would approve, by expected value.

    Args:
        banks: the catalogue.
        approving: bank → probability of approval, of those banks that would approve.
        amount, term: as asked for, tenge and months; the reference loan's where the form does not say (or says 0).
    """
    wanted, months = amount or banks.reference.amount, term or banks.reference.term
    found = [
        _offer(banks, code, probability, wanted, months)
        for code, probability in approving.items()
        if code in banks.bank and banks.bank[code].lends(wanted, months)
    ]
    return sorted(found, key=lambda offer: (-offer.expected_value, -offer.probability, offer.bank))


def _offer(banks: Banks, code: str, probability: float, amount: float, term: float) -> Offer:
    bank = banks.bank[code]
    monthly = instalment(amount, bank.rate_yearly, term)
    reference = instalment(amount, banks.reference.rate_yearly, term)
    saving = (reference - monthly) * term - bank.fee * amount
    return Offer(
        bank=code,
        name=bank.name,
        probability=probability,
        amount=amount,
        term=term,
        rate_yearly=bank.rate_yearly,
        monthly_payment=round(monthly, 2),
        saving=round(saving, 2),
        expected_value=round(probability * saving, 2),
    )
