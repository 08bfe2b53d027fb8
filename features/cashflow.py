"""What comes into and leaves a client's accounts: sums by kind of transfer, salary and its regularity."""

import ibis
from ibis.expr.types import Table

from features.columns import FeatureColumn
from features.tables import TRANSFER_TYPES, in_tenge
from features.windows import UNITS, attach, day_number, moments_of, recent, sample_variance, tenge, whole_units

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

DEBT_PAYMENTS = ("loan_payment_out", "cc_repayment_out", "installment_payment_out")
SAVINGS = ("deposit_topup_out", "deposit_fx_topup_out", "invest_out", "gold_buy_out")


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


def cashflow(transfers: Table, spine: Table, rates: dict[str, float]) -> Table:
    """Cash flow before each as_of: `CASHFLOW_COLUMNS`.

    Args:
        transfers: `features.tables.TRANSFERS`.
        spine: client_code and as_of.
        rates: tenge per unit of each currency.

    Returns:
        One row per distinct (client_code, as_of) of the spine; no transfers = zeros, ratios and salary amounts missing.
    """
    moments = moments_of(spine)
    moved = transfers.select(
        "client_code", "date", "type", "direction", units=whole_units(in_tenge(transfers.amount, transfers.currency, rates))
    )
    wide = attach(attach(moments, _flows(moved, moments)), _salary(moved, moments))
    amounts = [column.name for column in (*KIND_COLUMNS, *FLOW_COLUMNS[:5])]
    counts = ("transfer_count_90d", "salary_count_90d", "salary_months_90d")
    wide = wide.mutate(
        **{name: tenge(wide[name]) for name in amounts}, **{name: wide[name].fill_null(0).cast("int64") for name in counts}
    )
    came_in = wide.inflow_90d.nullif(0.0)
    return wide.mutate(outflow_to_inflow_90d=wide.outflow_90d / came_in, debt_to_inflow_90d=wide.debt_payments_90d / came_in)


def _flows(moved: Table, moments: Table) -> Table:
    """Sums in units and the number of transfers, of moments with any."""
    pairs = recent(moved, moments, "date", DAYS)

    def total(*kinds: str) -> ibis.Value:
        return pairs.units.sum(where=pairs.type.isin(kinds))

    return pairs.group_by("client_code", "as_of").agg(
        **{f"{kind}_90d": total(kind) for kind in TRANSFER_TYPES},
        inflow_90d=pairs.units.sum(where=pairs.direction == "in"),
        outflow_90d=pairs.units.sum(where=pairs.direction == "out"),
        debt_payments_90d=total(*DEBT_PAYMENTS),
        savings_90d=total(*SAVINGS),
        fx_volume_90d=total("fx_buy", "fx_sell"),
        transfer_count_90d=pairs.count(),
    )


def _salary(moved: Table, moments: Table) -> Table:
    salaries = moved.filter(moved.type == "salary_in")
    # Two salaries of the same instant are one payday, so that "the newest" and "the gap before" are never ambiguous.
    paydays = salaries.group_by("client_code", "date").agg(units=salaries.units.sum(), payments=salaries.count())
    previous = paydays["date"].lag().over(group_by="client_code", order_by=paydays["date"])
    pairs = recent(paydays.mutate(previous=previous), moments, "date", DAYS)
    newest = pairs["date"].max().over(group_by=["client_code", "as_of"])
    within = pairs.previous >= pairs.as_of - ibis.interval(days=DAYS)
    gap = ibis.ifelse(within, day_number(pairs["date"]) - day_number(pairs.previous), ibis.null("int64"))
    pairs = pairs.mutate(gap=gap, newest=newest, month=pairs["date"].year() * 12 + pairs["date"].month())
    return pairs.group_by("client_code", "as_of").agg(
        salary_count_90d=pairs.payments.sum(),
        salary_months_90d=pairs.month.nunique(),
        salary_gap_std_90d=sample_variance(pairs.gap.count(), pairs.gap.sum(), (pairs.gap * pairs.gap).sum()).sqrt(),
        last_salary_90d=pairs.units.max(where=pairs["date"] == pairs.newest).cast("float64") / UNITS,
    )
