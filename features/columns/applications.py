"""What a prescoring form tells: its 16 fields and what they say together."""

from features.columns import FeatureColumn


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
