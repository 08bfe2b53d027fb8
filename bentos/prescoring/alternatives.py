"""What an applicant could ask for instead of a loan that is refused or not lent: the smallest change of amount or term."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from bentos.prescoring.banks import Banks
from bentos.prescoring.form_features import FormFeatures
from registry.counterfactual import Change, Counterfactual, Lever, Refusal, counterfactuals

if TYPE_CHECKING:
    from registry.scorer import Scorer

_LOWER = (0.02, 0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_HIGHER = (0.05, 0.1, 0.2, 0.3, 0.5)
"""By which shares an amount may be lowered and raised; some banks prefer larger loans."""

_WHOLE = 1000
"""Amounts are proposed in whole thousands of tenge, and at the limit of the bank that the form is beyond."""

_MONTHLY_UNTIL = 24
"""Terms are proposed by the month up to here, then by the half-year."""

_YEAR = 12.0
"""A term longer or shorter by a year counts as much as an amount doubled."""


class FieldChange(BaseModel):
    """A field of the form that would have to change."""

    field: str = Field(description="loan_amount (tenge) or loan_term (months).")
    from_: float = Field(serialization_alias="from", description="As asked for.")
    to: float = Field(description="What would be approved.")


class Alternative(FieldChange):
    """The smallest change that turns the decision."""

    probability: float = Field(description="Probability of approval after the change, 0 to 1.")
    also: FieldChange | None = Field(description="The other field's change, when neither alone is enough; otherwise null.")


def alternatives(
    scorer: Scorer,
    declined: Mapping[str, float],
    banks: Banks,
    form: Mapping[str, Any],
    features: FormFeatures,
    at: datetime,
) -> dict[str, Alternative | None]:
    """For each bank that declines or lends no such loan, the smallest change that it would approve and lend; None without one.

    Args:
        scorer: the version that decided.
        declined: bank → probability from which it approves, of those banks.
        banks: the catalogue; a bank that is not in it has no alternative.
        form: the form as a row of the applications table.
        features: compiled features of forms.
        at: the moment of the request, naive UTC.
    """
    refusals = {
        code: _refusal(banks, code, threshold, form)
        for code, threshold in declined.items()
        if code in banks.bank and code in scorer.outputs
    }
    found = counterfactuals(scorer, refusals, lambda changes: features.frame([{**form, **change} for change in changes], at))
    return {code: _wire(found.get(code)) for code in declined}


def _refusal(banks: Banks, code: str, threshold: float, form: Mapping[str, Any]) -> Refusal:
    bank, amount, term = banks.bank[code], form["loan_amount"], form["loan_term"]
    levers = []
    if amount:
        nearby = {_WHOLE * round(amount * (1 + step) / _WHOLE) for step in (*(-share for share in _LOWER), *_HIGHER)}
        nearby.add(min(max(amount, bank.least_amount), bank.largest_amount))
        levers.append(Lever("loan_amount", amount, tuple(sorted(map(float, nearby - {0}))), amount))
    if term:
        months = [m for m in range(bank.shortest_term, bank.longest_term + 1) if m <= _MONTHLY_UNTIL or m % 6 == 0]
        levers.append(Lever("loan_term", term, tuple(map(float, months)), _YEAR))
    return Refusal(threshold, tuple(levers), lambda changes: banks.lend(code, {**form, **changes}))


def _wire(found: Counterfactual | None) -> Alternative | None:
    if found is None:
        return None
    first, *others = (_field_change(change) for change in found.changes)
    also = others[0] if others else None
    return Alternative(field=first.field, from_=first.from_, to=first.to, probability=found.probability, also=also)


def _field_change(change: Change) -> FieldChange:
    return FieldChange(field=change.field, from_=change.current, to=change.proposed)
