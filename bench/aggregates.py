"""The report of a month over twenty million purchases: all data types and segments, against the same SQL without privacy.

`python -m bench.aggregates` makes its own bank, runs both in turn in fresh processes on two threads and prints medians beside the
promises. The rival gets the consents for nothing, and pre-aggregates by client to count clients without COUNT(DISTINCT).
`--purchases 500000 --clients 5000` tries it at a smaller size; `--folder` keeps the bank for the next run.
"""

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import duckdb
import ibis
from sqlalchemy import insert

from clock import now
from consent_api import releases
from consent_api.audit import Actor
from consent_api.budget import Caps
from consent_api.catalogue import Catalogue, load_catalogue
from consent_api.contributions import Source
from consent_api.periods import Period
from consent_api.reports import make_report, plans
from consent_api.store import Store, open_store
from consent_api.tables import EVENTS, RECORDS
from features.categories import CATEGORIES
from identifiers import new_ids
from settings import Settings

COMPANY, OCTOBER = "dala-market", Period(2026, 10)
ACTOR = Actor("bench", "flow")
GIVEN, ENDING = datetime(2026, 9, 1, tzinfo=UTC), datetime(2027, 9, 1, tzinfo=UTC)
SHARE, GIB = 1.5, 6.0
_PORTION = 50_000


def main() -> int:
    """Make the bank, run both sides in turn, print; the exit status says whether the promises are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--purchases", type=int, default=20_000_000)
    parser.add_argument("--clients", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--side", choices=["ours", "by hand"])
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(ours(arguments.folder) if arguments.side == "ours" else by_hand(arguments.folder)))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        if not (folder / "incomes.parquet").exists():
            make_bank(folder, arguments.purchases, arguments.clients)
        return compare(folder, arguments)


def make_bank(folder: Path, purchases: int, clients: int) -> None:
    """Purchases of one month, clients, predicted incomes, and everybody's consent to every data type."""
    folder.mkdir(parents=True, exist_ok=True)
    store = open_store(Settings(var=folder / "var"))
    _consent(store, load_catalogue(Settings().catalogues), [str(100_000 + number) for number in range(clients)])
    store.close()
    names = ", ".join(f"'{name}'" for name in CATEGORIES)
    even = "((hash(i * 13 + 5) % 1000003 + 1) / 1000004.0)", "(hash(i * 17 + 7) % 1000003 / 1000003.0)"
    normal = f"sqrt(-2 * ln({even[0]})) * cos(2 * pi() * {even[1]})"
    tables = {
        "transactions": f"""SELECT TIMESTAMP '2026-10-01' + to_seconds((hash(i * 7 + 1) % 2678400)::BIGINT) AS date,
            ([{names}])[1 + (24 * pow(hash(i * 11 + 3) % 1000003 / 1000003.0, 1.6))::INT % 24] AS category,
            greatest(round(exp(7.5 + 1.1 * {normal}), 2), 0.01)::DECIMAL(18, 2) AS amount,
            CASE WHEN hash(i * 19) % 50 = 0 THEN 'RUB' ELSE 'KZT' END AS currency,
            (hash(i * 23 + 11) % {clients} + 100000)::VARCHAR AS client_code FROM range({purchases}) t(i)""",
        "clients": f"""SELECT (i + 100000)::VARCHAR AS client_code, (18 + hash(i * 3) % 60)::SMALLINT AS age, 'Студент' AS status,
            (['Алматы', 'Астана', 'Шымкент', 'Караганда', 'Актобе', 'Тараз', 'Талгар'])[1 + (hash(i * 5) % 7)::INT] AS city
            FROM range({clients}) t(i)""",
        "incomes": f"""SELECT (i + 100000)::VARCHAR AS client_code, (50000 + hash(i * 7) % 1500000)::DOUBLE AS income
            FROM range({clients}) t(i)""",
    }
    for name, query in tables.items():
        duckdb.sql(f"COPY ({query}) TO '{folder / name}.parquet' (FORMAT parquet)")


def _consent(store: Store, catalogue: Catalogue, clients: list[str]) -> None:
    """Rows as `consents.grant` leaves them, but for the audit log, which a release does not read."""
    for data_type, report in catalogue.reports.items():
        for start in range(0, len(clients), _PORTION):
            records = [
                {
                    "record_id": new_ids(1)[0],
                    "consent_id": f"{client}_{COMPANY}",
                    "client_code": client,
                    "company": COMPANY,
                    "data_type": data_type,
                    "purpose": report.purpose,
                    "number": 1,
                    "created_at": GIVEN,
                    "valid_until": ENDING,
                    "notice_id": "bench",
                }
                for client in clients[start : start + _PORTION]
            ]
            shared = {
                "state": "active",
                "at": GIVEN,
                "actor": "bench",
                "role": "flow",
                "channel": "internal",
                "reason": "granted",
            }
            with store.writing() as connection:
                connection.execute(insert(RECORDS), records)
                connection.execute(insert(EVENTS), [{"record_id": each["record_id"], **shared} for each in records])


def ours(folder: Path) -> dict[str, float]:
    """A whole report, with the seconds of its ledger (consents, budgets, audit) and of everything; peak memory."""
    config = Settings(var=folder / f"var-{uuid4().hex}")
    shutil.copytree(folder / "var", config.var)
    catalogue, store, engine = load_catalogue(config.catalogues), open_store(config), ibis.duckdb.connect(threads=2)
    engine.raw_sql("SET memory_limit = '2GB'")  # as the lake's is
    tables = {name: engine.read_parquet(folder / f"{name}.parquet") for name in ("transactions", "clients", "incomes")}
    source = Source(tables["transactions"], engine, config.exchange_rates, tables["clients"], tables["incomes"])
    ledger = _Timed(releases.begin)
    releases.begin = ledger
    started = time.perf_counter()
    made = make_report(store, COMPANY, OCTOBER, plans(catalogue, config), Caps.of(config), source, ACTOR, now)
    seconds = time.perf_counter() - started
    store.close()
    shutil.rmtree(config.var)
    assert all(document for each in made for document in each.documents.values()), "a document is suppressed: too few clients"
    size = json.loads(made[0].documents["all"] or b"{}")["sample_size"]
    return {"seconds": seconds, "ledger": ledger.seconds, "processor": time.process_time(), "gib": _peak(), "clients": size}


class _Timed:
    def __init__(self, act) -> None:  # type: ignore[no-untyped-def]
        self._act = act
        self.seconds = 0.0

    def __call__(self, *arguments):  # type: ignore[no-untyped-def]
        started = time.perf_counter()
        try:
            return self._act(*arguments)
        finally:
            self.seconds += time.perf_counter() - started


def by_hand(folder: Path) -> dict[str, float]:
    """What an engineer writes for DuckDB who wants the same figures and owes nobody privacy."""
    connection = duckdb.connect(config={"threads": 2, "memory_limit": "5GB", "temp_directory": str(folder / "spill")})
    rates = " ".join(f"WHEN '{code}' THEN {rate}" for code, rate in Settings().exchange_rates.items())
    groups = "GROUPING SETS ((category), (age_group, category), (city, category))"
    cells = "GROUPING SETS ((), (age_group), (city))"
    started = time.perf_counter()
    for query in (
        f"""CREATE TEMP TABLE purchases AS
            SELECT client_code, category, age_group, city, amount * CASE currency {rates} END AS tenge
            FROM '{folder}/transactions.parquet' JOIN (SELECT client_code, city, CASE WHEN age < 18 THEN 1 WHEN age < 25 THEN 2
              WHEN age < 35 THEN 3 WHEN age < 45 THEN 4 WHEN age < 55 THEN 5 WHEN age < 65 THEN 6 ELSE 7 END AS age_group
              FROM '{folder}/clients.parquet') USING (client_code) WHERE date >= '2026-10-01' AND date < '2026-11-01'""",
        """CREATE TEMP TABLE clients AS SELECT client_code, category, any_value(age_group) AS age_group, any_value(city) AS city,
            sum(tenge) AS tenge, count(*) AS number FROM purchases GROUP BY client_code, category""",
        f"SELECT age_group, city, category, sum(tenge), count(*) FROM clients GROUP BY {groups}",
        f"""SELECT age_group, city, sum(tenge), count(*), avg(tenge), quantile_cont(tenge, [0.1, 0.25, 0.5, 0.75, 0.9])
            FROM purchases GROUP BY {cells}""",
        f"""SELECT age_group, city, count(*), sum(tenge), sum(number) FROM (SELECT client_code, any_value(age_group) AS age_group,
            any_value(city) AS city, sum(tenge) AS tenge, sum(number) AS number FROM clients GROUP BY client_code)
            GROUP BY {cells}""",
        f"""SELECT width, age_group, city, count(*) FROM (SELECT age // 10 AS age_group, city, income // 250000 AS width
            FROM '{folder}/clients.parquet' JOIN '{folder}/incomes.parquet' USING (client_code))
            GROUP BY GROUPING SETS ((width), (width, age_group), (width, city))""",
    ):
        connection.execute(query).fetchall()
    return {"seconds": time.perf_counter() - started, "processor": time.process_time(), "gib": _peak()}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def compare(folder: Path, arguments: argparse.Namespace) -> int:
    """Both sides in turn, and the table; returns the exit status."""
    figures: dict[str, list[dict[str, float]]] = {"ours": [], "by hand": []}
    for _ in range(arguments.runs):
        for side, runs in figures.items():
            command = [sys.executable, "-m", "bench.aggregates", "--side", side, "--folder", str(folder)]
            runs.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    whole, ledger, rival = (
        statistics.median(run[name] for run in figures[side])
        for side, name in (("ours", "seconds"), ("ours", "ledger"), ("by hand", "seconds"))
    )
    peak = {side: max(run["gib"] for run in runs) for side, runs in figures.items()}
    print(f"A month's report: {arguments.purchases:,} purchases, {arguments.clients:,} clients, four data types, three segments.")
    print(f"\n| report of a month | seconds (median of {arguments.runs}) | against by hand | peak memory, GiB |")
    print("| --- | ---: | ---: | ---: |")
    print(f"| all of it | {whole:.1f} | {whole / rival:.2f} (promised {SHARE}) | {peak['ours']:.2f} (promised {GIB:g}) |")
    print(f"| … consents, budgets and audit in SQLite | {ledger:.1f} | {ledger / rival:.2f} | |")
    print(f"| … sums, noise and documents | {whole - ledger:.1f} | {(whole - ledger) / rival:.2f} | |")
    print(f"| the same figures in SQL, no privacy | {rival:.1f} | 1 | {peak['by hand']:.2f} |")
    return int(whole > SHARE * rival or peak["ours"] > GIB)


if __name__ == "__main__":
    sys.exit(main())
