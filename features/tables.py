"""The bank's raw tables: their columns, and the rules that a row has to keep."""

import ibis
import ibis.expr.datatypes as dt
from ibis.expr.types import BooleanValue, Table, Value

from features.banks import bank_codes
from features.categories import CATEGORIES
from features.code_lists import (
    CURRENCIES,
    PRODUCTS,
    STATUSES,
    TRANSFER_TYPES,
    TRANSFERS_EITHER,
    TRANSFERS_IN,
    TRANSFERS_OUT,
)
from features.raw_table import LATEST, MONEY, Column, RawTable, Rule, between, one_of, one_of_numbers, plausible, positive
from settings import Settings

BANKS = bank_codes(Settings().catalogues)  # not settings(): an import must not decide the settings of the process
"""Codes of the partner banks, which are the decision columns of the applications."""


def _direction_agrees(table: Table) -> BooleanValue:
    incoming = table.type.isin(TRANSFERS_IN) & (table.direction == "in")
    outgoing = table.type.isin(TRANSFERS_OUT) & (table.direction == "out")
    return incoming | outgoing | table.type.isin(TRANSFERS_EITHER)


def _client() -> Column:
    return Column("client_code", dt.string)


def _moment(name: str) -> Column:
    return Column(name, dt.Timestamp(scale=6), rules=(plausible(name),))


def _amount() -> Column:
    return Column("amount", MONEY, rules=(positive("amount"),))


def _currency() -> Column:
    return Column("currency", dt.string, rules=(one_of("currency", CURRENCIES),))


def _flag(name: str, required: bool = True, optional_column: bool = False) -> Column:
    return Column(name, dt.int8, required, optional_column, (one_of_numbers(name, (0, 1)),))


CLIENTS = RawTable(
    "clients",
    (
        _client(),
        Column("name", dt.string, required=False),
        Column("status", dt.string, rules=(one_of("status", STATUSES),)),
        Column("age", dt.int16, rules=(between("age", 14, 120),)),
        Column("city", dt.string, required=False),
        Column("avg_monthly_balance_KZT", MONEY, required=False, rules=(between("avg_monthly_balance_KZT", -(10**12), 10**12),)),
    ),
    unique=("client_code",),
)
TRANSACTIONS = RawTable(
    "transactions",
    (
        _moment("date"),
        Column("category", dt.string, rules=(one_of("category", tuple(CATEGORIES)),)),
        _amount(),
        _currency(),
        _client(),
        Column("merchant", dt.string, required=False, optional_column=True),
        Column("transaction_id", dt.string, required=False, optional_column=True),
    ),
)
TRANSFERS = RawTable(
    "transfers",
    (
        _moment("date"),
        Column("type", dt.string, rules=(one_of("type", TRANSFER_TYPES),)),
        Column(
            "direction",
            dt.string,
            rules=(one_of("direction", ("in", "out")), Rule("agrees with the type's suffix", _direction_agrees)),
        ),
        _amount(),
        _currency(),
        _client(),
    ),
)
SESSIONS = RawTable(
    "sessions",
    (
        _client(),
        _moment("started_at"),
        Column("os_version", dt.string, required=False),
        Column("phone_model", dt.string, required=False),
    ),
)
PAYMENTS = RawTable(
    "payments",
    (
        Column("transaction_id", dt.string),
        _client(),
        _moment("ts"),
        _amount(),
        Column("destination_id", dt.string),
    ),
    unique=("transaction_id",),
)
FRAUD_LABELS = RawTable(
    "fraud_labels",
    (Column("transaction_id", dt.string), _flag("is_fraud"), _moment("reported_at")),
    unique=("transaction_id",),
)


def _past(name: str, earliest: str, required: bool = False) -> Column:
    low = ibis.timestamp(earliest)
    return Column(
        name,
        dt.Timestamp(scale=6),
        required=required,
        rules=(Rule(f"lies between {earliest[:4]} and 2100", lambda table: (table[name] >= low) & (table[name] < LATEST)),),
    )


def _text(name: str) -> Column:
    return Column(name, dt.string, required=False)


def _number(name: str, low: float, high: float) -> Column:
    return Column(name, dt.float64, required=False, rules=(between(name, low, high),))


FORM = (
    _past("birthdate", "1900-01-01 00:00:00"),
    _text("education"),
    _text("employment_status"),
    _text("value"),
    _past("jobstartdate", "1940-01-01 00:00:00"),
    _text("position"),
    _number("monthprofit", 0, 10**9),
    _number("monthexpense", 0, 10**9),
    _flag("gender", required=False),
    _text("family_status"),
    _number("childcount", 0, 30),
    _flag("snils", required=False),
    _text("merch_code"),
    _number("loan_amount", 0, 10**10),
    _number("loan_term", 0, 600),
    _text("goods_category"),
)
"""The 16 fields of the prescoring form."""

APPLICATIONS = RawTable(
    "applications",
    (
        Column("application_id", dt.string),
        _moment("created_at"),
        *FORM,
        *(_flag(bank, required=False, optional_column=True) for bank in BANKS),
    ),
    unique=("application_id",),
    any_of=BANKS,
)
VERIFIED_INCOMES = RawTable(
    "verified_incomes",
    (
        _client(),
        _moment("month"),
        Column("income", MONEY, rules=(positive("income"),)),
        Column("w", dt.float64, rules=(between("w", 0, 10**6),)),
    ),
)
PRODUCT_UPTAKE = RawTable(
    "product_uptake",
    (
        _client(),
        Column("product", dt.string, rules=(one_of("product", PRODUCTS),)),
        _moment("offered_at"),
        _flag("accepted"),
    ),
)

TABLES = {
    table.name: table
    for table in (
        CLIENTS,
        TRANSACTIONS,
        TRANSFERS,
        SESSIONS,
        PAYMENTS,
        FRAUD_LABELS,
        APPLICATIONS,
        VERIFIED_INCOMES,
        PRODUCT_UPTAKE,
    )
}
"""Every raw table by name."""


def in_tenge(amount: Value, currency: Value, rates: dict[str, float]) -> Value:
    """`amount` in tenge at the configured `rates` (tenge per unit)."""
    pairs = [(currency == code, ibis.literal(rate)) for code, rate in rates.items()]
    return amount.cast("float64") * ibis.cases(*pairs, else_=ibis.null("float64"))
