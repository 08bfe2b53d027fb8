"""What every feature set promises: declared columns, no look into the future, no surprise on empty tables, any engine."""

from datetime import datetime

import ibis
import pandas as pd
import pytest
from ibis.config import Config

from features.categories import CATEGORIES
from features.code_lists import PRODUCTS
from features.columns import FeatureColumn
from features.columns.models import FRAUD_CLIENT_COLUMNS, RECOMMENDATION_CLIENT_COLUMNS
from features.columns.sessions import BEHAVIOUR_COLUMNS
from features.holdings import with_products
from features.online_rows import newest_rows
from features.sets import FEATURE_SETS, fill_missing, fraud_client
from features.tables import BANKS, FORM, TABLES

LABELS = {
    "income": ["income", "w"],
    "prescoring": list(BANKS),
    "recommendation": ["accepted"],
    "fraud": ["is_fraud"],
}
sets = pytest.mark.parametrize("name", list(FEATURE_SETS))


def form(**fields: object) -> dict[str, object]:
    return {"application_id": "a", "created_at": datetime.fromisoformat("2026-05-01"), **fields}


@pytest.fixture(scope="module")
def tables(bank, tables_of):
    incomes = [
        {"client_code": "c1", "month": datetime.fromisoformat(f"2026-{month:02}-{day:02}"), "income": 1000 * month, "w": 0.5}
        for month, day in ((4, 1), (5, 17))
    ]
    return tables_of({**bank, "verified_incomes": incomes, "applications": [form(bank_a=1)]})


@sets
def test_every_column_says_what_it_is_in_both_languages(name: str) -> None:
    columns = FEATURE_SETS[name].columns
    assert len({column.name for column in columns}) == len(columns)
    assert len({column.title_ru for column in columns}) == len({column.title_en for column in columns}) == len(columns)
    assert all(column.meaning and column.dtype in {"float64", "int64", "int8", "string"} for column in columns)


@sets
def test_the_training_frame_has_every_declared_column_and_one_row_per_label(name: str, tables) -> None:
    feature_set = FEATURE_SETS[name]
    frame, labels = feature_set.training_frame(tables), feature_set.labels(tables)
    schema = frame.schema()
    assert {column.name: column.dtype for column in feature_set.columns} == {n: str(schema[n]) for n in feature_set.names}
    assert {*labels.columns, *feature_set.names} == set(frame.columns)
    assert {*feature_set.key, "as_of", *LABELS[name]} <= set(frame.columns)
    assert not set(LABELS[name]) & set(feature_set.names)
    rows = frame.to_pandas()
    assert len(rows) == labels.count().to_pandas() > 0
    assert all(str(rows[column.name].dtype) == column.dtype.replace("string", "str") for column in feature_set.columns)


@sets
def test_empty_tables_give_no_rows_and_no_error(name: str, tables_of) -> None:
    assert len(FEATURE_SETS[name].training_frame(tables_of({})).to_pandas()) == 0


@pytest.mark.parametrize("name", ["income", "recommendation", "fraud"])
def test_a_client_without_events_has_zeros_and_missing_values(name: str, tables_of, spine_of) -> None:
    key = {"client_code": "new", "product": PRODUCTS[0], "transaction_id": "t", "destination_id": "d", "amount": 5.0}
    spine = spine_of(
        [key | {"as_of": datetime.fromisoformat("2026-05-01 13:00"), "ts": datetime.fromisoformat("2026-05-01 13:00")}]
    )
    row = FEATURE_SETS[name].features(tables_of({}), spine).to_pandas().iloc[0]
    numbers = [column.name for column in FEATURE_SETS[name].columns if not column.categorical]
    own = {"amount": 5.0, "hour": 13, "weekday": 4}
    flags = {f"{column.name}_was_missing" for column in BEHAVIOUR_COLUMNS[6:]}
    for column in numbers:
        expected = own.get(column, 1 if column in flags else 0)
        assert pd.isna(row[column]) or row[column] == expected, column


def test_a_feature_set_names_the_table_it_misses(tables) -> None:
    lacking = {name: table for name, table in tables.items() if name != "transfers"}
    with pytest.raises(KeyError, match="transfers"):
        FEATURE_SETS["income"].training_frame(lacking)


def test_labels_stand_at_the_moment_they_are_predicted(tables) -> None:
    assert FEATURE_SETS["income"].labels(tables).to_pandas().as_of.tolist() == [
        pd.Timestamp("2026-04-01"),
        pd.Timestamp("2026-05-01"),
    ]
    fraud = FEATURE_SETS["fraud"].labels(tables).to_pandas()
    assert (fraud.as_of == fraud.ts).all()
    assert set(fraud.transaction_id) == set(tables["fraud_labels"].to_pandas().transaction_id)


def test_columns_of_a_spine_that_bear_a_feature_name_are_computed_not_taken(tables, spine_of) -> None:
    spine = spine_of([{"client_code": "c1", "as_of": datetime.fromisoformat("2026-05-01"), "age": 99, "spend_total_90d": -1.0}])
    row = FEATURE_SETS["income"].features(tables, spine).to_pandas().iloc[0]
    assert row.age == 21
    assert row.spend_total_90d > 0


def test_serving_fills_missing_behaviour_as_training_does(tables, moments, spine_of) -> None:
    spine = spine_of(moments).distinct()
    spine = spine.mutate(
        transaction_id=ibis.row_number().cast("string"), destination_id=ibis.literal("d1"), amount=1.0, ts=spine.as_of
    )
    order = ["client_code", "as_of"]
    trained = FEATURE_SETS["fraud"].features(tables, spine).to_pandas().sort_values(order, ignore_index=True)
    served = fill_missing(fraud_client(tables, spine_of(moments).distinct()).to_pandas()).sort_values(order, ignore_index=True)
    names = [f"{column.name}{suffix}" for column in BEHAVIOUR_COLUMNS for suffix in ("", "_was_missing")]
    pd.testing.assert_frame_equal(served[names], trained[names], check_dtype=False, check_exact=True)
    assert trained.ewm_session_interval_7d_was_missing.nunique() == 2


def test_what_a_request_leaves_out_is_zero_and_flagged() -> None:
    row = fill_missing(pd.DataFrame([{"os_ver_cnt_30d": 2, "burstiness_sessions": None}])).iloc[0]
    assert (row.os_ver_cnt_30d, row.os_ver_cnt_30d_was_missing) == (2, 0)
    for name in ("burstiness_sessions", "fano_factor_sessions"):
        assert (row[name], row[f"{name}_was_missing"]) == (0, 1)


def test_serving_sees_the_products_as_training_does(tables, bank, spine_of) -> None:
    at = datetime.fromisoformat("2026-06-01")
    clients = newest_rows(tables, at)["recommendation"]
    served = with_products(clients.to_pandas())
    spine = spine_of(
        [{"client_code": code, "product": name, "as_of": at} for code in served.client_code.unique() for name in PRODUCTS]
    )
    trained = FEATURE_SETS["recommendation"].features(tables, spine).to_pandas()
    names = ["client_code", *FEATURE_SETS["recommendation"].names]
    both = [frame.sort_values(["client_code", "product"], ignore_index=True)[names] for frame in (served, trained)]
    pd.testing.assert_frame_equal(*both, check_exact=True)
    assert trained.groupby("product").product_affinity.max().gt(0).sum() >= 8


def test_what_describes_a_person_is_marked_as_protected() -> None:
    protected = {column.name for column in FEATURE_SETS["prescoring"].columns if column.protected}
    assert protected == {"age_years", "gender", "family_status", "childcount", "profit_per_household_member"}


def test_a_form_gives_ages_and_ratios(tables_of) -> None:
    told = form(
        birthdate=datetime.fromisoformat("1996-05-01"),
        jobstartdate=datetime.fromisoformat("2025-05-01"),
        monthprofit=100.0,
        monthexpense=40.0,
        childcount=1.0,
        loan_amount=240.0,
        loan_term=12.0,
        value="1–3 года",
        gender=1,
    )
    row = FEATURE_SETS["prescoring"].training_frame(tables_of({"applications": [told]})).to_pandas().iloc[0]
    assert row.age_years == pytest.approx(30, abs=0.01)
    assert row.job_tenure_months == pytest.approx(12, abs=0.02)
    assert (row.expense_to_profit, row.loan_to_profit, row.instalment, row.instalment_to_profit) == (0.4, 2.4, 20, 0.2)
    assert (row.free_income, row.left_after_instalment, row.profit_per_household_member, row.value) == (60, 40, 50, "1–3 года")


def test_an_empty_form_and_a_form_with_zeros_give_missing_ratios(tables_of) -> None:
    forms = [
        form(),
        form(application_id="b", monthprofit=0.0, loan_term=0.0, loan_amount=5.0, birthdate=datetime.fromisoformat("2030-01-01")),
    ]
    rows = FEATURE_SETS["prescoring"].training_frame(tables_of({"applications": forms})).to_pandas()
    assert rows[["age_years", "expense_to_profit", "loan_to_profit", "instalment", "instalment_to_profit"]].isna().all(axis=None)


class _Spark(Config):
    """What the Spark compiler of Ibis reads from its options where pyspark is not installed."""

    treat_nan_as_null: bool = False


@pytest.fixture
def spark_options():
    before = ibis.options.pyspark
    ibis.options.pyspark = before or _Spark()
    yield
    ibis.options.pyspark = before


def test_every_expression_compiles_for_spark(spark_options) -> None:
    unbound = {name: ibis.table(table.schema, name=name) for name, table in TABLES.items()}
    expressions = {name: feature_set.training_frame(unbound) for name, feature_set in FEATURE_SETS.items()}
    expressions |= {f"online {name}": rows for name, rows in newest_rows(unbound, datetime.fromisoformat("2026-05-01")).items()}
    for name, expression in expressions.items():
        assert len(ibis.to_sql(expression, dialect="pyspark")) > 1000, name


def test_every_category_and_form_field_is_a_feature() -> None:
    assert {f"spend_{slug}_90d" for slug in CATEGORIES.values()} <= set(FEATURE_SETS["income"].names)
    assert {column.name for column in FORM} - {"birthdate", "jobstartdate"} <= set(FEATURE_SETS["prescoring"].names)
    assert all(isinstance(column, FeatureColumn) for column in (*FRAUD_CLIENT_COLUMNS, *RECOMMENDATION_CLIENT_COLUMNS))


def test_a_moment_with_a_time_zone_means_the_same_instant(tables) -> None:
    naive, aware = datetime.fromisoformat("2026-05-01"), datetime.fromisoformat("2026-05-01T05:00:00+05:00")
    rows = [newest_rows(tables, at)["income"].to_pandas().sort_values("client_code", ignore_index=True) for at in (naive, aware)]
    pd.testing.assert_frame_equal(*rows, check_exact=True)
    assert (rows[0].as_of == naive).all()
