"""What each model sees, in its order: the columns alone, for everything that names a feature without computing one."""

from collections.abc import Mapping

from features.columns import Course, FeatureColumn
from features.columns.applications import APPLICATION_COLUMNS
from features.columns.cashflow import CASHFLOW_COLUMNS
from features.columns.holdings import CLIENT_FACTS, HOLDING_COLUMNS, PRODUCT_COLUMNS
from features.columns.payments import AMOUNT_COLUMNS, CLIENT_COLUMNS, DESTINATION_COLUMNS
from features.columns.sessions import BEHAVIOUR_COLUMNS, MISSING_COLUMNS
from features.columns.spending import CATEGORY_COLUMNS, SHARE_COLUMNS, TOTAL_COLUMNS

RECOMMENDATION_CLIENT_COLUMNS = (
    *SHARE_COLUMNS,
    *TOTAL_COLUMNS,
    *(
        column
        for column in CASHFLOW_COLUMNS
        if column.name
        in {
            "p2p_out_90d",
            "salary_in_90d",
            "salary_months_90d",
            "inflow_90d",
            "outflow_90d",
            "outflow_to_inflow_90d",
            "debt_payments_90d",
            "debt_to_inflow_90d",
            "savings_90d",
            "fx_volume_90d",
        }
    ),
    FeatureColumn(
        "p2p_to_outflow_90d",
        "float64",
        "Доля переводов людям в списаниях за 90 дней",
        "Share of transfers to people in money out, 90 days",
        "p2p_out over all outgoing transfers; 0 without any",
    ),
    FeatureColumn(
        "fx_to_outflow_90d",
        "float64",
        "Обмен валюты к списаниям за 90 дней",
        "Currency exchanged to money out, 90 days",
        "fx_buy and fx_sell over all outgoing transfers; 0 without any",
    ),
    FeatureColumn(
        "idle_balance_months",
        "float64",
        "Остаток в месяцах расходов",
        "Balance in months of expenses",
        "Average monthly balance over a month's purchases and outgoing transfers (a third of 90 days)",
    ),
    *CLIENT_FACTS,
    *HOLDING_COLUMNS,
)
FRAUD_CLIENT_COLUMNS = (*BEHAVIOUR_COLUMNS, *CLIENT_COLUMNS)

MODEL_COLUMNS: Mapping[str, tuple[FeatureColumn, ...]] = {
    "income": (*CATEGORY_COLUMNS, *TOTAL_COLUMNS, *CASHFLOW_COLUMNS, *CLIENT_FACTS),
    "prescoring": APPLICATION_COLUMNS,
    "recommendation": (*RECOMMENDATION_CLIENT_COLUMNS, *PRODUCT_COLUMNS),
    "fraud": (*AMOUNT_COLUMNS, *FRAUD_CLIENT_COLUMNS, *MISSING_COLUMNS, *DESTINATION_COLUMNS),
}
"""Every model's columns by use case."""


def of_course(use_case: str, course: Course) -> frozenset[str]:
    """Features of a use case that the calendar alone moves in this way; none of a table of one's own."""
    known = MODEL_COLUMNS.get(use_case, ())
    return frozenset(column.name for column in known if column.course == course)
