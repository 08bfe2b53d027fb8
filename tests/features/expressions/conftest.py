"""Small raw tables with the types that the lake has, and the random bank that naive re-computations are compared on."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from features.categories import CATEGORIES
from features.code_lists import PRODUCTS, TRANSFERS_IN, TRANSFERS_OUT
from features.tables import TABLES

Rows = list[dict[str, object]]
START = datetime.fromisoformat("2026-03-01")


def _typed(name: str, rows: Rows) -> pa.Table:
    schema = TABLES[name].schema.to_pyarrow()
    decimals = {field.name for field in schema if pa.types.is_decimal(field.type)}
    typed = [
        {field.name: _decimal(row.get(field.name)) if field.name in decimals else row.get(field.name) for field in schema}
        for row in rows
    ]
    return pa.Table.from_pylist(typed, schema=schema)


def _decimal(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value)).quantize(Decimal("0.01"))


@pytest.fixture(scope="session")
def typed() -> Callable[[str, Rows], pa.Table]:
    """(table name, rows) → Arrow table with the raw table's types; columns that are not given are empty."""
    return _typed


@pytest.fixture(scope="session")
def tables_of() -> Callable[[Mapping[str, Rows]], dict[str, ibis.Table]]:
    """Rows by table name → every raw table as an Ibis table; tables that are not given are empty."""
    return lambda rows: {name: ibis.memtable(_typed(name, list(rows.get(name, [])))) for name in TABLES}


@pytest.fixture(scope="session")
def spine_of() -> Callable[[Rows], ibis.Table]:
    """Rows with keys and as_of → spine."""

    def build(rows: Rows) -> ibis.Table:
        frame = pd.DataFrame(rows)
        return ibis.memtable(frame.assign(as_of=pd.to_datetime(frame["as_of"]).astype("datetime64[us]")))

    return build


@pytest.fixture(scope="session")
def bank() -> dict[str, Rows]:
    """A random bank of 12 clients over 130 days with ties, exact window borders, missing devices and late labels."""
    random = np.random.default_rng(20260101)
    clients = [f"c{number}" for number in range(12)]

    def when(step: int = 1) -> datetime:
        return START + timedelta(seconds=int(random.integers(0, 130 * 86_400 // step)) * step)

    def pick(values: object) -> str:
        return str(random.choice(list(values)))

    rows: dict[str, Rows] = {
        "clients": [
            {
                "client_code": code,
                "name": "Аня",
                "status": "Студент",
                "age": 20 + n,
                "city": "Алматы",
                "avg_monthly_balance_KZT": 1000.5 * n,
            }
            for n, code in enumerate(clients)
        ],
        "transactions": [
            {
                "date": when(3600),
                "category": pick(CATEGORIES),
                "amount": round(float(random.gamma(2, 3000)) + 1, 2),
                "currency": pick(("KZT", "USD", "EUR", "RUB")),
                "client_code": pick(clients[:-1]),
            }
            for _ in range(900)
        ],
        "transfers": [],
        "sessions": [
            {
                "client_code": pick(clients[:-1]),
                "started_at": when(7),
                "os_version": pick(("17", "18", "19")),
                "phone_model": None if random.random() < 0.2 else pick(("A", "B")),
            }
            for _ in range(700)
        ],
    }
    for _ in range(900):
        kind = "salary_in" if random.random() < 0.15 else pick((*TRANSFERS_IN, *TRANSFERS_OUT, "fx_buy", "fx_sell"))
        direction = "in" if kind in TRANSFERS_IN or kind == "fx_sell" else "out"
        amount = round(float(random.gamma(2, 20_000)) + 1, 2)
        rows["transfers"].append(
            {
                "date": when(86_400),
                "type": kind,
                "direction": direction,
                "amount": amount,
                "currency": "KZT",
                "client_code": pick(clients[:-1]),
            }
        )
    rows["sessions"] += [{**row, "started_at": row["started_at"] + timedelta(seconds=20)} for row in rows["sessions"][:100]]
    rows["payments"] = [
        {
            "transaction_id": f"t{n}",
            "client_code": pick(clients[:-1]),
            "ts": when(1800),
            "amount": round(float(random.gamma(2, 9000)) + 1, 2),
            "destination_id": f"d{int(random.zipf(1.6)) % 9}",
        }
        for n in range(500)
    ]
    rows["fraud_labels"] = [
        {
            "transaction_id": row["transaction_id"],
            "is_fraud": int(random.random() < 0.2),
            "reported_at": row["ts"] + timedelta(hours=int(random.integers(0, 15 * 24))),
        }
        for row in rows["payments"]
        if random.random() < 0.8
    ]
    rows["product_uptake"] = [
        {
            "client_code": pick(clients[:-1]),
            "product": pick(PRODUCTS),
            "offered_at": when(86_400),
            "accepted": int(random.random() < 0.4),
        }
        for _ in range(120)
    ]
    return rows


@pytest.fixture(scope="session")
def moments(bank: dict[str, Rows]) -> Rows:
    """Client moments to compute features at: the ends of every stretch of time, and the very moments of events."""
    codes = [str(row["client_code"]) for row in bank["clients"]]
    grid = [START + timedelta(days=days) for days in (0, 1, 31, 90, 95, 130, 400)]
    events = [(str(row["client_code"]), row["started_at"]) for row in bank["sessions"][:40]]
    return [{"client_code": code, "as_of": at} for code, at in [*((code, at) for code in codes for at in grid), *events]]
