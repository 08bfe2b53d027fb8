"""No feature looks past its moment: whatever happens at or after as_of, the row stays the same."""

from collections.abc import Callable
from datetime import datetime, timedelta

import duckdb
import ibis
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.categories import CATEGORIES
from features.code_lists import PRODUCTS, TRANSFERS_IN
from features.sets import FEATURE_SETS
from features.tables import TABLES

AS_OF = datetime.fromisoformat("2026-05-20 12:30")
TIMES = {"transactions": "date", "transfers": "date", "sessions": "started_at", "payments": "ts", "product_uptake": "offered_at"}
SPINE = [
    {
        "client_code": code,
        "as_of": AS_OF,
        "product": product,
        "transaction_id": f"now{n}",
        "destination_id": f"d{n}",
        "amount": 7.0,
        "ts": AS_OF,
    }
    for n, (code, product) in enumerate((("c1", PRODUCTS[1]), ("c2", PRODUCTS[2]), ("c11", PRODUCTS[3])))
]

moments_from = st.integers(0, 40 * 86_400).map(lambda seconds: AS_OF + timedelta(seconds=seconds))
clients = st.sampled_from(["c1", "c2", "c11"])
amounts = st.integers(1, 10**9).map(lambda cents: cents / 100)


def row(**columns: st.SearchStrategy) -> st.SearchStrategy[dict[str, object]]:
    return st.fixed_dictionaries({"client_code": clients, **columns})


later = {
    "transactions": row(
        date=moments_from, category=st.sampled_from(list(CATEGORIES)), amount=amounts, currency=st.sampled_from(["KZT", "USD"])
    ),
    "transfers": row(
        date=moments_from, type=st.sampled_from(TRANSFERS_IN), direction=st.just("in"), amount=amounts, currency=st.just("KZT")
    ),
    "sessions": row(started_at=moments_from, os_version=st.sampled_from(["17", "99"]), phone_model=st.just("Z")),
    "payments": row(
        transaction_id=st.uuids().map(str), ts=moments_from, amount=amounts, destination_id=st.sampled_from(["d0", "d1", "d9"])
    ),
    "product_uptake": row(product=st.sampled_from(PRODUCTS), offered_at=moments_from, accepted=st.integers(0, 1)),
}
futures = st.fixed_dictionaries(
    {name: st.lists(rows, max_size=6) for name, rows in later.items()} | {"told": st.lists(moments_from, max_size=6)}
)


@pytest.fixture(scope="module")
def past(bank) -> dict[str, list[dict[str, object]]]:
    """The bank as it was just before the moment, with one event a microsecond before it."""
    known = {name: [event for event in rows if name not in TIMES or event[TIMES[name]] < AS_OF] for name, rows in bank.items()}
    known["fraud_labels"] = [told for told in bank["fraud_labels"] if told["reported_at"] < AS_OF]
    known["sessions"] = [*known["sessions"], {"client_code": "c11", "started_at": AS_OF - timedelta(microseconds=1)}]
    return known


@pytest.fixture(scope="module")
def compute(typed, spine_of) -> Callable[[str, dict[str, list[dict[str, object]]]], pd.DataFrame]:
    """(feature set, rows) → feature rows; the SQL is compiled once."""
    spine = spine_of(SPINE).to_pyarrow()
    unbound = {name: ibis.table(table.schema, name=name) for name, table in TABLES.items()}
    asked = ibis.table(ibis.schema(spine.schema), name="spine")
    names = ("income", "recommendation", "fraud")
    queries = {name: str(ibis.to_sql(FEATURE_SETS[name].features(unbound, asked), dialect="duckdb")) for name in names}
    connection = duckdb.connect(":memory:", config={"threads": 1})
    connection.register("spine", spine)

    def rows(name: str, events: dict[str, list[dict[str, object]]]) -> pd.DataFrame:
        for table in TABLES:
            connection.register(table, typed(table, events.get(table, [])))
        return connection.execute(f"SELECT * FROM ({queries[name]}) ORDER BY client_code").df()

    return rows


@pytest.mark.parametrize("name", ["income", "recommendation", "fraud"])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(future=futures)
def test_what_happens_at_or_after_the_moment_changes_nothing(name: str, future, past, compute) -> None:
    changed = {table: [*past.get(table, []), *future.get(table, [])] for table in (*past, *later)}
    told = {label["transaction_id"] for label in past["fraud_labels"]}
    open_cases = [paid for paid in changed["payments"] if paid["transaction_id"] not in told]
    changed["fraud_labels"] = past["fraud_labels"] + [
        {"transaction_id": paid["transaction_id"], "is_fraud": 1, "reported_at": max(at, paid["ts"])}
        for paid, at in zip(reversed(open_cases), future["told"], strict=False)
    ]
    pd.testing.assert_frame_equal(compute(name, past), compute(name, changed), check_exact=True)


@pytest.mark.parametrize("name", ["income", "recommendation", "fraud"])
def test_what_happened_just_before_the_moment_is_seen(name: str, past, compute) -> None:
    just = AS_OF - timedelta(microseconds=1)
    event = {
        "client_code": "c1",
        "transaction_id": "new",
        "destination_id": "d0",
        "amount": 5.0,
        "ts": just,
        "date": just,
        "category": "АЗС",
        "currency": "KZT",
    }
    table = "payments" if name == "fraud" else "transactions"
    before, after = compute(name, past), compute(name, {**past, table: [*past[table], event]})
    count = "client_payments_1d" if name == "fraud" else "purchase_count_30d"
    assert (after[count] - before[count]).tolist() == [1, 0, 0]
