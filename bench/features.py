"""Income features over five million purchases: our Ibis expressions against SQL written by hand for DuckDB.

`python -m bench.features` makes its own data, runs both in turn in fresh processes on two threads, checks that they give
identical values and prints medians. `--purchases 500000` tries it at a smaller size.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.cashflow import cashflow
from features.categories import CATEGORIES
from features.code_lists import CURRENCIES, TRANSFER_TYPES, TRANSFERS_IN
from features.columns.cashflow import CASHFLOW_COLUMNS
from features.columns.spending import CATEGORY_COLUMNS, TOTAL_COLUMNS
from features.raw_table import MONEY
from features.spending import spending
from features.windows import attach
from settings import settings

PURCHASES_PER_CLIENT = 125
RUNS = 5
MOMENTS = pd.to_datetime(["2026-07-01", "2026-08-01", "2026-09-01", "2026-10-01"])
FIRST, DAYS = np.datetime64("2026-03-01T00:00:00"), 240


def main() -> None:
    """Make the data, run both sides in turn, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--purchases", type=int, default=5_000_000)
    parser.add_argument("--side", choices=["ours", "by hand"])
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(run(arguments.side, arguments.folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_data(Path(folder), arguments.purchases, settings().seed)
        compare(Path(folder), arguments.purchases)


def make_data(folder: Path, purchases: int, seed: int) -> None:
    """Purchases, a third as many transfers, and a spine of every client at four month beginnings, as Parquet."""
    random = np.random.default_rng(seed)
    clients = purchases // PURCHASES_PER_CLIENT
    _write(folder / "transactions.parquet", _events(random, purchases, clients, {"category": list(CATEGORIES)}))
    transfers = _events(random, purchases // 3, clients, {"type": list(TRANSFER_TYPES)})
    incoming = np.isin(transfers["type"], [*TRANSFERS_IN, "fx_sell"])
    _write(folder / "transfers.parquet", transfers | {"direction": np.where(incoming, "in", "out")})
    codes = np.tile(np.arange(clients).astype(str), len(MOMENTS))
    moments = np.repeat(MOMENTS.to_numpy().astype("datetime64[us]"), clients)
    _write(folder / "spine.parquet", {"client_code": codes, "as_of": moments})


def _events(random: np.random.Generator, rows: int, clients: int, names: dict[str, list[str]]) -> dict[str, np.ndarray]:
    columns = {name: random.choice(values, rows) for name, values in names.items()}
    return columns | {
        "client_code": random.integers(0, clients, rows).astype(str),
        "date": (FIRST + random.integers(0, DAYS * 86_400, rows)).astype("datetime64[us]"),
        "amount": np.round(random.lognormal(8.5, 1, rows) + 1, 2),
        "currency": random.choice(CURRENCIES, rows, p=[0.85, 0.06, 0.05, 0.04]),
    }


def _write(path: Path, columns: dict[str, np.ndarray]) -> None:
    table = pa.table(columns)
    if "amount" in columns:
        place = table.schema.get_field_index("amount")
        table = table.set_column(place, "amount", table["amount"].cast(MONEY.to_pyarrow(), safe=False))
    pq.write_table(table, path)


def compare(folder: Path, purchases: int) -> None:
    """Runs in turn, equality of every value, and the table of medians."""
    figures: dict[str, list[dict[str, float]]] = {"ours": [], "by hand": []}
    for _ in range(RUNS):
        for side, runs in figures.items():
            command = [sys.executable, "-m", "bench.features", "--side", side, "--folder", str(folder)]
            runs.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    ours, by_hand = (pq.read_table(folder / f"{side}.parquet").to_pandas() for side in figures)
    pd.testing.assert_frame_equal(ours, by_hand, check_exact=True, check_dtype=False)  # a sum is HUGEINT on one side
    seconds = {side: statistics.median(run["seconds"] for run in runs) for side, runs in figures.items()}
    print(f"Spending and cash flow, {purchases:,} purchases, {len(ours):,} rows × {ours.shape[1]} columns, identical values.\n")
    print("| income features | seconds (median of 5) | peak memory, GiB | against by hand |\n| --- | ---: | ---: | ---: |")
    for side, title in (("ours", "Ibis expressions"), ("by hand", "SQL by hand")):
        peak = max(run["gib"] for run in figures[side])
        print(f"| {title} | {seconds[side]:.2f} | {peak:.2f} | {seconds[side] / seconds['by hand']:.2f} |")


def run(side: str, folder: Path) -> dict[str, float]:
    """One run of one side into `<side>.parquet`: seconds from compiling to the last row, and peak memory of the process."""
    connection = ibis.duckdb.connect(threads=2)
    tables = {path.stem: connection.read_parquet(path, table_name=path.stem) for path in folder.glob("[st]*.parquet")}
    started = time.perf_counter()
    query = _ours(tables) if side == "ours" else _by_hand()
    connection.raw_sql(f"CREATE TABLE result AS {query}")
    seconds = time.perf_counter() - started
    target = folder / f"{side}.parquet"
    connection.raw_sql(f"COPY (SELECT * FROM result ORDER BY client_code, as_of) TO '{target}' (FORMAT parquet)")
    return {"seconds": seconds, "gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def _columns() -> list[str]:
    return ["client_code", "as_of", *(column.name for column in (*CATEGORY_COLUMNS, *TOTAL_COLUMNS, *CASHFLOW_COLUMNS))]


def _ours(tables: dict[str, ibis.Table]) -> str:
    spine, rates = tables["spine"], settings().exchange_rates
    wide = attach(attach(spine, spending(tables["transactions"], spine, rates)), cashflow(tables["transfers"], spine, rates))
    return str(ibis.to_sql(wide.select(_columns()), dialect="duckdb"))


def _by_hand() -> str:
    """What an engineer writes for DuckDB: one join and one aggregation per subject."""
    rate = " ".join(f"WHEN '{code}' THEN {rate}" for code, rate in settings().exchange_rates.items())
    units = f"CAST(ROUND(CAST(amount AS DOUBLE) * CASE currency {rate} END * 10000) AS BIGINT) AS units"
    window = "e.client_code = s.client_code AND e.date < s.as_of AND e.date >= s.as_of - INTERVAL 90 DAY"

    def total(condition: str) -> str:
        return f"COALESCE(SUM(units) FILTER ({condition}), 0) / 10000.0::DOUBLE"

    categories = ", ".join(total(f"category = '{name}'") + f" AS spend_{slug}_90d" for name, slug in CATEGORIES.items())
    kinds = ", ".join(total(f"type = '{kind}'") + f" AS {kind}_90d" for kind in TRANSFER_TYPES)
    return f"""
    WITH spent AS (
      SELECT s.client_code, s.as_of, {categories},
        {total("date >= as_of - INTERVAL 30 DAY")} AS spend_total_30d, {total("true")} AS spend_total_90d,
        COUNT(e.date) FILTER (date >= as_of - INTERVAL 30 DAY) AS purchase_count_30d, COUNT(e.date) AS purchase_count_90d,
      FROM spine s LEFT JOIN (SELECT *, {units} FROM transactions) e ON {window} GROUP BY ALL
    ), flows AS (
      SELECT s.client_code, s.as_of, {kinds},
        {total("direction = 'in'")} AS inflow_90d, {total("direction = 'out'")} AS outflow_90d,
        {total("type IN ('loan_payment_out', 'cc_repayment_out', 'installment_payment_out')")} AS debt_payments_90d,
        {total("type IN ('deposit_topup_out', 'deposit_fx_topup_out', 'invest_out', 'gold_buy_out')")} AS savings_90d,
        {total("type IN ('fx_buy', 'fx_sell')")} AS fx_volume_90d, COUNT(e.date) AS transfer_count_90d,
      FROM spine s LEFT JOIN (SELECT *, {units} FROM transfers) e ON {window} GROUP BY ALL
    ), paydays AS (
      SELECT client_code, date, SUM(units) AS units, COUNT(*) AS payments, LAG(date) OVER (PARTITION BY client_code ORDER BY date) AS previous
      FROM (SELECT *, {units} FROM transfers WHERE type = 'salary_in') GROUP BY client_code, date
    ), gaps AS (
      SELECT s.client_code, s.as_of, e.*, CASE WHEN previous >= as_of - INTERVAL 90 DAY THEN date::DATE - previous::DATE END AS gap
      FROM spine s JOIN paydays e ON {window}
    ), salary AS (
      SELECT client_code, as_of, SUM(payments) AS n, COUNT(DISTINCT YEAR(date) * 12 + MONTH(date)) AS months, ARG_MAX(units, date) / 10000 AS last,
        SQRT((COUNT(gap)::DOUBLE * SUM(gap * gap) - SUM(gap)::DOUBLE * SUM(gap)) / NULLIF(COUNT(gap)::DOUBLE * (COUNT(gap) - 1), 0)) AS gap_std
      FROM gaps GROUP BY ALL
    )
    SELECT {", ".join(_columns())} FROM (
      SELECT *, spend_total_90d / NULLIF(purchase_count_90d, 0) AS mean_bill_90d, outflow_90d / NULLIF(inflow_90d, 0) AS outflow_to_inflow_90d,
        debt_payments_90d / NULLIF(inflow_90d, 0) AS debt_to_inflow_90d, COALESCE(n, 0)::BIGINT AS salary_count_90d,
        COALESCE(months, 0)::BIGINT AS salary_months_90d, gap_std AS salary_gap_std_90d, last AS last_salary_90d
      FROM spent JOIN flows USING (client_code, as_of) LEFT JOIN salary USING (client_code, as_of))
    """  # noqa: E501 (SQL reads best in its own lines)


if __name__ == "__main__":
    main()
