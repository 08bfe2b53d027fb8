"""What a prescoring form tells: its 16 fields and what they say together."""

import ibis
from ibis.expr.types import NumericValue, Table, Value

from features.windows import day_number

DAYS_IN_YEAR = 365.25


def application(spine: Table) -> Table:
    """`APPLICATION_COLUMNS` of every form.

    Args:
        spine: the 16 form fields (`features.tables.FORM`) and as_of, the moment of the application.

    Returns:
        The spine with the feature columns; a form field of the same name is the same value.
    """
    instalment = _divide(spine.loan_amount, spine.loan_term)
    free = spine.monthprofit - spine.monthexpense
    return spine.mutate(
        age_years=_years(spine.birthdate, spine.as_of),
        job_tenure_months=_years(spine.jobstartdate, spine.as_of) * 12,
        expense_to_profit=_divide(spine.monthexpense, spine.monthprofit),
        loan_to_profit=_divide(spine.loan_amount, spine.monthprofit),
        instalment=instalment,
        instalment_to_profit=_divide(instalment, spine.monthprofit),
        free_income=free,
        left_after_instalment=free - instalment,
        profit_per_household_member=spine.monthprofit / (1 + spine.childcount.fill_null(0.0)),
    )


def _years(start: Value, end: Value) -> NumericValue:
    """Years between two dates; a start after the end is a typing error, hence missing."""
    days = day_number(end) - day_number(start)
    return ibis.ifelse(days >= 0, days, ibis.null("int64")).cast("float64") / DAYS_IN_YEAR


def _divide(above: Value, below: Value) -> NumericValue:
    return above / below.nullif(0.0)
