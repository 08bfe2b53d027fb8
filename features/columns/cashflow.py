"""Money that comes into and leaves a client's accounts: sums by kind of transfer, salary and its regularity."""

from features.code_lists import TRANSFER_TYPES
from features.columns import FeatureColumn

DAYS = 90

KIND_TITLES = {
    "salary_in": ("Зарплата", "Salary"),
    "stipend_in": ("Стипендия", "Stipend"),
    "family_in": ("Поступления от родных", "Received from family"),
    "cashback_in": ("Кэшбэк", "Cashback"),
    "refund_in": ("Возвраты покупок", "Refunds"),
    "card_in": ("Пополнения с других карт", "Received from other cards"),
    "invest_in": ("Вывод с инвестиций", "Withdrawn from investments"),
    "deposit_fx_withdraw_in": ("Снятие с валютного вклада", "Withdrawn from currency deposits"),
    "deposit_withdraw_in": ("Снятие с вклада", "Withdrawn from deposits"),
    "gold_sell_in": ("Продажа золота", "Gold sold"),
    "p2p_out": ("Переводы людям", "Transfers to people"),
    "card_out": ("Переводы на другие карты", "Transfers to other cards"),
    "atm_withdrawal": ("Снятие наличных", "Cash withdrawn"),
    "utilities_out": ("Коммунальные платежи", "Utilities"),
    "loan_payment_out": ("Платежи по кредитам", "Loan payments"),
    "cc_repayment_out": ("Погашение кредитной карты", "Credit card repayments"),
    "installment_payment_out": ("Платежи по рассрочке", "Instalment payments"),
    "invest_out": ("Перевод на инвестиции", "Paid into investments"),
    "deposit_topup_out": ("Пополнение вклада", "Paid into deposits"),
    "deposit_fx_topup_out": ("Пополнение валютного вклада", "Paid into currency deposits"),
    "gold_buy_out": ("Покупка золота", "Gold bought"),
    "fx_buy": ("Покупка валюты", "Currency bought"),
    "fx_sell": ("Продажа валюты", "Currency sold"),
}
"""Russian and English title of every kind of transfer."""


def _amount(name: str, ru: str, en: str, meaning: str) -> FeatureColumn:
    return FeatureColumn(f"{name}_{DAYS}d", "float64", f"{ru} за {DAYS} дней, ₸", f"{en}, {DAYS} days, KZT", meaning)


KIND_COLUMNS = tuple(
    _amount(kind, *KIND_TITLES[kind], f"Sum of {kind} transfers over {DAYS} days, tenge at configured rates")
    for kind in TRANSFER_TYPES
)
FLOW_COLUMNS = (
    _amount("inflow", "Поступления", "Money in", f"Sum of incoming transfers over {DAYS} days, tenge at configured rates"),
    _amount("outflow", "Списания переводами", "Money out", f"Sum of outgoing transfers over {DAYS} days, tenge"),
    _amount("debt_payments", "Платежи по долгам", "Debt payments", "Loan, credit card and instalment payments, tenge"),
    _amount("savings", "Отложено", "Put aside", "Paid into deposits, investments and gold, tenge"),
    _amount("fx_volume", "Обмен валюты", "Currency exchanged", "Currency bought and sold, tenge"),
    FeatureColumn(
        "transfer_count_90d",
        "int64",
        "Число переводов за 90 дней",
        "Transfers, 90 days",
        "Number of transfers over 90 days, both ways",
    ),
    FeatureColumn(
        "outflow_to_inflow_90d",
        "float64",
        "Списания к поступлениям за 90 дней",
        "Money out to money in, 90 days",
        "Outgoing over incoming transfers; missing without incoming ones",
    ),
    FeatureColumn(
        "debt_to_inflow_90d",
        "float64",
        "Платежи по долгам к поступлениям за 90 дней",
        "Debt payments to money in, 90 days",
        "Loan, credit card and instalment payments over incoming transfers; missing without incoming ones",
    ),
)
SALARY_COLUMNS = (
    FeatureColumn(
        "salary_count_90d",
        "int64",
        "Число выплат зарплаты за 90 дней",
        "Salary payments, 90 days",
        "Number of salary_in over 90 days",
        course="cycles",
    ),
    FeatureColumn(
        "salary_months_90d",
        "int64",
        "Число месяцев с зарплатой за 90 дней",
        "Months with salary, 90 days",
        "Calendar months of the last 90 days in which a salary came",
        course="cycles",
    ),
    FeatureColumn(
        "salary_gap_std_90d",
        "float64",
        "Нерегулярность зарплаты, дней",
        "Irregularity of the salary, days",
        "Standard deviation (n − 1) of the days between neighbouring salary dates of the last 90 days; missing below three",
        course="cycles",
    ),
    FeatureColumn(
        "last_salary_90d",
        "float64",
        "Последняя зарплата, ₸",
        "Last salary, KZT",
        "Amount of the newest salary of the last 90 days, tenge; missing without one",
    ),
)
CASHFLOW_COLUMNS = (*KIND_COLUMNS, *FLOW_COLUMNS, *SALARY_COLUMNS)
