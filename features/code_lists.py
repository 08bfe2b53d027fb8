"""Raw tables by name, and the values that some of their columns take: for everything that names one without touching a table."""

from typing import TYPE_CHECKING, Literal

CURRENCIES = ("KZT", "USD", "EUR", "RUB")
STATUSES = ("Студент", "Зарплатный клиент", "Премиальный клиент", "Стандартный клиент")
TRANSFERS_IN = (
    "salary_in",
    "stipend_in",
    "family_in",
    "cashback_in",
    "refund_in",
    "card_in",
    "invest_in",
    "deposit_fx_withdraw_in",
    "deposit_withdraw_in",
    "gold_sell_in",
)
TRANSFERS_OUT = (
    "p2p_out",
    "card_out",
    "atm_withdrawal",
    "utilities_out",
    "loan_payment_out",
    "cc_repayment_out",
    "installment_payment_out",
    "invest_out",
    "deposit_topup_out",
    "deposit_fx_topup_out",
    "gold_buy_out",
)
TRANSFERS_EITHER = ("fx_buy", "fx_sell")
"""Types without a direction in their name: an exchange leaves one account and enters another."""
TRANSFER_TYPES = (*TRANSFERS_IN, *TRANSFERS_OUT, *TRANSFERS_EITHER)
PRODUCTS = (
    "Депозит Сберегательный",
    "Кредит наличными",
    "Карта для путешествий",
    "Карта для геймеров",
    "Карта с кэшбэком на все",
    "Карта с кэшбэком на топ-3 категории",
    "Премиальная карта",
    "Мультивалютный счет",
    "Карта с бесплатными переводами",
    "Ипотека",
)
TABLE_NAMES = (
    "clients",
    "transactions",
    "transfers",
    "sessions",
    "payments",
    "fraud_labels",
    "applications",
    "verified_incomes",
    "product_uptake",
)
"""The raw tables themselves: `features.tables.TABLES` says what is in each."""
if TYPE_CHECKING:
    TableName = str
else:
    TableName = Literal[TABLE_NAMES]
"""The type of a field that names a raw table: forms and API offer these names, and take no other."""
