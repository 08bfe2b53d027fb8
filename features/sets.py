"""The four feature sets: what each model sees, learns from, and at which moment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd
from ibis.expr.types import Table

from features.applications import APPLICATION_COLUMNS, application
from features.cashflow import CASHFLOW_COLUMNS, cashflow
from features.columns import Course, FeatureColumn
from features.holdings import CLIENT_FACTS, HOLDING_COLUMNS, PRODUCT_COLUMNS, client_facts, holdings, product_affinity
from features.payments import AMOUNT_COLUMNS, CLIENT_COLUMNS, DESTINATION_COLUMNS, first_payment, own_facts, velocity
from features.sessions import BEHAVIOUR_COLUMNS, behaviour
from features.spending import CATEGORY_COLUMNS, SHARE_COLUMNS, TOTAL_COLUMNS, spending, with_shares
from features.tables import BANKS, FORM
from features.windows import attach
from settings import learning_settings

Tables = Mapping[str, Table]


@dataclass(frozen=True)
class FeatureSet:
    """What a model sees: an entity, a moment, and columns with a type, titles and a meaning.

    Attributes:
        name: use case.
        key: columns that name the entity; with `as_of` they name a row.
        inputs: further columns that the spine must carry (the form, the payment).
        columns: the features, in the model's order.
        expression: (tables, spine) → the spine with the feature columns.
        training_spine: tables → key, as_of, inputs and labels.
    """

    name: str
    key: tuple[str, ...]
    inputs: tuple[str, ...]
    columns: tuple[FeatureColumn, ...]
    expression: Callable[[Tables, Table], Table]
    training_spine: Callable[[Tables], Table]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the feature columns, in order."""
        return tuple(column.name for column in self.columns)

    def features(self, tables: Tables, spine: Table) -> Table:
        """The spine with every feature as known just before each row's `as_of`.

        Raises:
            KeyError: a raw table that the features need is not among `tables`; the argument is its name.
        """
        given = {*self.key, *self.inputs}
        spine = spine.drop(*(name for name in self.names if name in spine.columns and name not in given))
        wide = self.expression(tables, spine)
        kept = [name for name in spine.columns if name not in self.names]
        return wide.select(*kept, **{column.name: wide[column.name].cast(column.dtype) for column in self.columns})

    def labels(self, tables: Tables) -> Table:
        """The training spine: one row per label with key, as_of, inputs and label columns."""
        return self.training_spine(tables)

    def training_frame(self, tables: Tables) -> Table:
        """Features over the labels, each as of its own moment."""
        return self.features(tables, self.labels(tables))


def fill_missing(frame: pd.DataFrame) -> pd.DataFrame:
    """Absent behaviour features become 0 and their `<feature>_was_missing` 1: what the fraud model sees.

    Takes raw rows (online features, request fields, None or NaN = absent; a column may be absent altogether) and gives
    the same values as the training expression.
    """
    filled: dict[str, pd.Series] = {}
    for column in BEHAVIOUR_COLUMNS:
        values = pd.to_numeric(frame[column.name]) if column.name in frame else pd.Series(float("nan"), index=frame.index)
        filled[column.name] = values.astype("float64").fillna(0.0)
        filled[_flag(column.name)] = values.isna().astype("int8")
    return frame.assign(**filled)


def _flag(name: str) -> str:
    return f"{name}_was_missing"


def _fill_missing(rows: Table) -> Table:
    names = [column.name for column in BEHAVIOUR_COLUMNS]
    flags = {_flag(name): rows[name].isnull().cast("int8") for name in names}
    return rows.mutate(**flags, **{name: rows[name].fill_null(0) for name in names})


def _income(tables: Tables, spine: Table) -> Table:
    rates = learning_settings().exchange_rates
    wide = attach(spine, spending(tables["transactions"], spine, rates))
    wide = attach(wide, cashflow(tables["transfers"], spine, rates))
    return attach(wide, client_facts(tables["clients"]), ["client_code"])


def recommendation_client(tables: Tables, spine: Table) -> Table:
    """The recommendation features that do not depend on the product, added to `spine` (client_code, as_of)."""
    rates = learning_settings().exchange_rates
    wide = attach(spine, with_shares(spending(tables["transactions"], spine, rates)))
    wide = attach(wide, cashflow(tables["transfers"], spine, rates))
    wide = attach(wide, client_facts(tables["clients"]), ["client_code"])
    wide = attach(wide, holdings(tables["product_uptake"], spine))
    out = wide.outflow_90d.nullif(0.0)
    monthly = ((wide.spend_total_90d + wide.outflow_90d) / 3).nullif(0.0)
    return wide.mutate(
        p2p_to_outflow_90d=(wide.p2p_out_90d / out).fill_null(0.0),
        fx_to_outflow_90d=(wide.fx_volume_90d / out).fill_null(0.0),
        idle_balance_months=wide.avg_monthly_balance_KZT / monthly,
    )


def _recommendation(tables: Tables, spine: Table) -> Table:
    wide = recommendation_client(tables, spine)
    return wide.mutate(product_affinity=product_affinity(wide))


def fraud_client(tables: Tables, spine: Table) -> Table:
    """The fraud features of a client, added to `spine` (client_code, as_of); undefined behaviour is null."""
    wide = attach(spine, behaviour(tables["sessions"], spine))
    return attach(wide, velocity(tables["payments"], tables["fraud_labels"], spine, "client"))


def _fraud(tables: Tables, spine: Table) -> Table:
    payments = tables["payments"]
    wide = fraud_client(tables, own_facts(spine))
    to = velocity(payments, tables["fraud_labels"], spine, "destination")
    wide = attach(wide, to, ["destination_id", "as_of"])
    pair = ("client_code", "destination_id")
    return _fill_missing(attach(wide, first_payment(payments, spine, pair, "pair"), [*pair, "as_of"]))


def _income_labels(tables: Tables) -> Table:
    incomes = tables["verified_incomes"]
    return incomes.select("client_code", "w", as_of=incomes.month.truncate("M"), income=incomes.income.cast("float64"))


def _prescoring_labels(tables: Tables) -> Table:
    forms = tables["applications"]
    return forms.select("application_id", *_FORM_FIELDS, *BANKS, as_of=forms.created_at)


def _recommendation_labels(tables: Tables) -> Table:
    offers = tables["product_uptake"]
    return offers.select("client_code", "product", "accepted", as_of=offers.offered_at)


def _fraud_labels(tables: Tables) -> Table:
    payments, labels = tables["payments"], tables["fraud_labels"]
    known = payments.join(labels.select("transaction_id", "is_fraud"), "transaction_id")
    return known.mutate(as_of=known.ts)


_FORM_FIELDS = tuple(column.name for column in FORM)
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
_MISSING_COLUMNS = tuple(
    FeatureColumn(
        _flag(column.name),
        "int8",
        f"Нет данных: {column.title_ru}",
        f"Missing: {column.title_en}",
        f"1 when {column.name} is not known and 0 stands for it",
    )
    for column in BEHAVIOUR_COLUMNS
)
FRAUD_CLIENT_COLUMNS = (*BEHAVIOUR_COLUMNS, *CLIENT_COLUMNS)

FEATURE_SETS: Mapping[str, FeatureSet] = {
    feature_set.name: feature_set
    for feature_set in (
        FeatureSet(
            "income",
            ("client_code",),
            (),
            (*CATEGORY_COLUMNS, *TOTAL_COLUMNS, *CASHFLOW_COLUMNS, *CLIENT_FACTS),
            _income,
            _income_labels,
        ),
        FeatureSet(
            "prescoring",
            ("application_id",),
            _FORM_FIELDS,
            APPLICATION_COLUMNS,
            lambda _, spine: application(spine),
            _prescoring_labels,
        ),
        FeatureSet(
            "recommendation",
            ("client_code", "product"),
            (),
            (*RECOMMENDATION_CLIENT_COLUMNS, *PRODUCT_COLUMNS),
            _recommendation,
            _recommendation_labels,
        ),
        FeatureSet(
            "fraud",
            ("transaction_id",),
            ("client_code", "ts", "amount", "destination_id"),
            (*AMOUNT_COLUMNS, *FRAUD_CLIENT_COLUMNS, *_MISSING_COLUMNS, *DESTINATION_COLUMNS),
            _fraud,
            _fraud_labels,
        ),
    )
}
"""Every feature set by use case."""


def of_course(use_case: str, course: Course) -> frozenset[str]:
    """Features of a use case that the calendar alone moves in this way; none of a table of one's own."""
    known = FEATURE_SETS.get(use_case)
    return frozenset(column.name for column in known.columns if column.course == course) if known else frozenset()
