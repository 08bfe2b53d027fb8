"""The four feature sets: what each model sees, learns from, and at which moment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd
from ibis.expr.types import Table

from features.applications import application
from features.cashflow import cashflow
from features.columns import FeatureColumn
from features.columns.models import MODEL_COLUMNS
from features.columns.sessions import BEHAVIOUR_COLUMNS, flag
from features.holdings import client_facts, holdings, product_affinity
from features.payments import first_payment, own_facts, velocity
from features.sessions import behaviour
from features.spending import spending, with_shares
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
        filled[flag(column.name)] = values.isna().astype("int8")
    return frame.assign(**filled)


def _fill_missing(rows: Table) -> Table:
    names = [column.name for column in BEHAVIOUR_COLUMNS]
    flags = {flag(name): rows[name].isnull().cast("int8") for name in names}
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

FEATURE_SETS: Mapping[str, FeatureSet] = {
    feature_set.name: feature_set
    for feature_set in (
        FeatureSet(
            "income",
            ("client_code",),
            (),
            MODEL_COLUMNS["income"],
            _income,
            _income_labels,
        ),
        FeatureSet(
            "prescoring",
            ("application_id",),
            _FORM_FIELDS,
            MODEL_COLUMNS["prescoring"],
            lambda _, spine: application(spine),
            _prescoring_labels,
        ),
        FeatureSet(
            "recommendation",
            ("client_code", "product"),
            (),
            MODEL_COLUMNS["recommendation"],
            _recommendation,
            _recommendation_labels,
        ),
        FeatureSet(
            "fraud",
            ("transaction_id",),
            ("client_code", "ts", "amount", "destination_id"),
            MODEL_COLUMNS["fraud"],
            _fraud,
            _fraud_labels,
        ),
    )
}
"""Every feature set by use case."""
