"""The consent service with its audit log on: `python -m bench.consent_api` (needs wrk; under a minute).

One worker (`python -m consent_api`) on SQLite with synchronous=FULL and a published release in it, every setting at its default.
Each read and each write commits its audit row durably before its answer leaves.
"""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import ibis
import pandas as pd
import psutil

from bench.lines import Line
from bench.processes import megabytes, served
from bench.serving_load import offered, raw, replayed
from clock import now
from consent_api import consents
from consent_api.audit import Actor
from consent_api.budget import Caps
from consent_api.callers.credentials import Keyring
from consent_api.callers.issuers import OWN, development
from consent_api.catalogue import load_catalogue
from consent_api.consents import Grant
from consent_api.periods import Period
from consent_api.reports import Source, make_report, plans
from consent_api.store import Store, open_store
from database import open_database
from edge.pepper import pepper
from features.categories import CATEGORIES
from features.online import OnlineStore
from settings import Settings

COMPANY, DATA_TYPE, PURPOSE = "dala-market", "category_spending", "market_statistics"
READ = f"/aggregated-data/{COMPANY}/{DATA_TYPE}"
COHORT = 2000
WRITERS = 20_000
"""Clients who decide: each has a token, which is good for one change."""
OFFERED = 300
_LIFETIME = timedelta(minutes=5)
_OPERATOR = Actor("bench", "operator")


def main() -> None:
    """Measure everything and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the service ends with this process
    parser.add_argument("--seconds", type=int, default=10, help="of load for each line")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        config = Settings(var=folder / "var")
        keyring = bank(config)
        print("| the consent service, audit on | figure | p50, ms | p99, ms | promised |\n| --- | ---: | ---: | ---: | --- |")
        for line in _lines(folder, config, keyring, seconds):
            print(line, flush=True)


def _lines(folder: Path, config: Settings, keyring: Keyring, seconds: int) -> Iterator[Line]:
    with served([sys.executable, "-m", "consent_api"], folder) as (port, process, ready):
        reading = raw(port, "GET", READ, X_API_Key=keyring.issue("partner", COMPANY, now()))
        reads, writes = folder / "reads", folder / "writes"
        reads.write_bytes(reading)
        writes.write_bytes(b"\0".join(_writes(port, config)))
        _check(port, reading)
        replayed(port, reads, 1)
        before = _processor_seconds(process)
        load = replayed(port, reads, seconds)
        spent = (_processor_seconds(process) - before) / (load.rate * seconds)
        yield Line("partner reads", load, load.rate, "requests/s", 1500)
        yield Line("… processor time of the worker for each", None, spent * 1000, "ms")
        load = replayed(port, writes, seconds)
        yield Line("consent writes, each of another client", load, load.rate, "requests/s", 300)
        load = offered(port, reading, OFFERED, seconds)
        yield Line(f"p99 of a partner read at {OFFERED} requests/s offered", load, load.p99, "ms", 15, more_is_better=False)
        yield Line("start to ready", None, ready, "s")
        yield Line("memory after all this", None, megabytes(process), "MiB")


def _processor_seconds(process: int) -> float:
    times = psutil.Process(process).cpu_times()
    return float(times.user + times.system)


def _check(port: int, reading: bytes) -> None:
    """Raises HTTPStatusError or SystemExit: what is about to be measured is no release."""
    headers = dict(line.split(": ") for line in reading.decode().splitlines()[1:] if line)
    answer = httpx.get(f"http://127.0.0.1:{port}{READ}", headers=headers).raise_for_status()
    if answer.json()["total_datasets"] == 0:
        sys.exit(f"there is no release to read: {answer.text}")


def _writes(port: int, config: Settings) -> Iterator[bytes]:
    signer, at = development(config), now()
    for number in range(WRITERS):
        body = {"client_id": str(number), "company": COMPANY, "data_types": [DATA_TYPE], "is_active": True}
        token = signer.token(str(number), OWN, at, _LIFETIME)
        yield raw(port, "POST", "/consent", json.dumps(body).encode(), Authorization=f"Bearer {token}")


def bank(config: Settings) -> Keyring:
    """Clients, the consents of a cohort, and its release of one month."""
    online = OnlineStore(open_database(config.database("online")))
    codes = [str(number) for number in range(WRITERS)]
    online.write("profile", pd.DataFrame({"client_code": codes, "as_of": [datetime(2026, 11, 1)] * WRITERS}))  # noqa: DTZ001 - as the store keeps it
    store = open_store(config)
    _release(store, config)
    return Keyring(store, pepper(config))


def _release(store: Store, config: Settings) -> None:
    cohort = [f"c{number}" for number in range(COHORT)]
    with store.writing() as connection:
        consents.grant(connection, [Grant(client, COMPANY, DATA_TYPE, PURPOSE) for client in cohort], _OPERATOR, now())
    rows = [(client, datetime(2026, 10, 5), name, 20_000.0, "KZT") for client in cohort for name in list(CATEGORIES)[:8]]  # noqa: DTZ001 - as the lake has it
    frame = pd.DataFrame(rows, columns=["client_code", "date", "category", "amount", "currency"])
    source = Source(ibis.memtable(frame), ibis.duckdb.connect(), config.exchange_rates)
    planned = {DATA_TYPE: plans(load_catalogue(config.catalogues), config)[DATA_TYPE]}
    make_report(store, COMPANY, Period(2026, 10), planned, Caps.of(config), source, _OPERATOR, now)


if __name__ == "__main__":
    main()
