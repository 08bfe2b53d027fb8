"""What a prescoring form tells: its 16 fields and what they say together."""

import ibis
from ibis.expr.types import NumericValue, Table, Value

from features.columns import FeatureColumn
from features.windows import day_number

DAYS_IN_YEAR = 365.25


def _field(name: str, dtype: str, ru: str, en: str, protected: bool = False) -> FeatureColumn:
    return FeatureColumn(name, dtype, ru, en, f"Field {name} of the form", protected=protected)


def _derived(name: str, ru: str, en: str, meaning: str, protected: bool = False) -> FeatureColumn:
    return FeatureColumn(name, "float64", ru, en, meaning, protected=protected)


APPLICATION_COLUMNS = (
    _derived("age_years", "Возраст, лет", "Age, years", "Years from birthdate to the application", protected=True),
    _field("education", "string", "Образование", "Education"),
    _field("employment_status", "string", "Занятость", "Employment"),
    _field("value", "string", "Стаж работы", "Work experience"),
    _derived(
        "job_tenure_months", "Стаж на месте, мес.", "Time in the job, months", "Months from jobstartdate to the application"
    ),
    _field("position", "string", "Должность", "Position"),
    _field("monthprofit", "float64", "Доход в месяц", "Monthly income"),
    _field("monthexpense", "float64", "Расход в месяц", "Monthly expenses"),
    _field("gender", "float64", "Пол", "Gender", protected=True),
    _field("family_status", "string", "Семейное положение", "Family status", protected=True),
    _field("childcount", "float64", "Число детей", "Children", protected=True),
    _field("snils", "float64", "СНИЛС указан", "SNILS given"),
    _field("merch_code", "string", "Магазин", "Shop"),
    _field("loan_amount", "float64", "Сумма кредита", "Loan amount"),
    _field("loan_term", "float64", "Срок кредита, мес.", "Loan term, months"),
    _field("goods_category", "string", "Категория товара", "Category of goods"),
    _derived("expense_to_profit", "Расход к доходу", "Expenses to income", "monthexpense / monthprofit; missing at 0 income"),
    _derived("loan_to_profit", "Кредит к доходу", "Loan to income", "loan_amount / monthprofit; missing at 0 income"),
    _derived("instalment", "Платёж в месяц", "Monthly instalment", "loan_amount / loan_term, interest left out"),
    _derived("instalment_to_profit", "Платёж к доходу", "Instalment to income", "instalment / monthprofit; missing at 0 income"),
    _derived("free_income", "Свободный доход", "Free income", "monthprofit − monthexpense"),
    _derived("left_after_instalment", "Остаток после платежа", "Left after the instalment", "free_income − instalment"),
    _derived(
        "profit_per_household_member",
        "Доход на члена семьи",
        "Income per household member",
        "monthprofit / (1 + childcount); without a childcount the applicant alone",
        protected=True,
    ),
)


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
