"""How soon partners are served again after the consent database was away: `python -m bench.consent_outages` (a minute).

One worker on SQLite, or on the empty PostgreSQL of `--database`, with a published release. A partner asks all the time while
another program holds the database for three seconds, while PostgreSQL ends every connection and admits none, and after the
service was killed. And what a partner notices of another one who asks far more than its limit (needs wrk).
"""

import argparse
import os
import signal
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import httpx
from sqlalchemy import create_engine, make_url, text

from bench.consent_api import COMPANY, READ, bank
from bench.lines import Line
from bench.processes import served
from bench.serving_load import Load, offered, raw, replayed
from clock import now
from consent_api.callers.credentials import Keyring
from settings import Settings

HELD = 3.0
WITHIN = 5.0
OFFERED, LIMIT = 100, 200
ROUNDS = 3
SERVICE = [sys.executable, "-m", "consent_api"]
Outage = Callable[[Settings], AbstractContextManager[None]]


def main() -> None:
    """Measure everything and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the service ends with this process
    parser.add_argument("--database", default="", help="SQLAlchemy URL of an empty PostgreSQL database")
    parser.add_argument("--seconds", type=int, default=10, help="of load for each line with a p99")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        config = Settings(var=Path(scratch) / "var", database_url=asked.database)
        keyring = bank(config)
        print(
            "| the consent service after an outage | figure | p50, ms | p99, ms | promised |\n| --- | ---: | ---: | ---: | --- |"
        )
        for line in _lines(Path(scratch), config, keyring, asked.seconds):
            print(line, flush=True)


def _lines(folder: Path, config: Settings, keyring: Keyring, seconds: int) -> Iterator[Line]:
    environment = {"OPORA_DATABASE_URL": config.database_url}
    headers = {"X-API-Key": keyring.issue("partner", COMPANY, now())}
    outages: dict[str, Outage] = {f"held for {HELD:.0f} s by another program": _held}
    if config.database_url:
        outages["connections ended, and none admitted"] = _closed
    with served(SERVICE, folder, **environment) as (port, process, _):
        url = f"http://127.0.0.1:{port}{READ}"
        for what, outage in outages.items():
            answered, again = _through(outage, config, url, headers)
            yield Line(f"{what}: data given out meanwhile", None, answered, "answers", 0, more_is_better=False)
            yield Line(f"{what}: back after", None, again, "s", WITHIN, more_is_better=False)
        os.kill(process, signal.SIGKILL)
    with served(SERVICE, folder, **environment) as (port, _, ready):
        yield Line("killed: ready after its start", None, ready, "s", WITHIN, more_is_better=False)
    limits = {"OPORA_RATE_LIMIT_PER_SECOND": str(LIMIT), "OPORA_RATE_LIMIT_BURST": str(LIMIT)}
    with served(SERVICE, folder, **environment, **limits) as (port, _, _):
        yield from _neighbours(folder, port, keyring, seconds)


def _through(outage: Outage, config: Settings, url: str, headers: dict[str, str]) -> tuple[int, float]:
    """How many requests that were sent in the outage got data before it ended, and after how long the next one did."""
    with httpx.Client(timeout=60) as http:
        http.get(url, headers=headers).raise_for_status()
        with outage(config):
            answered, until = 0, time.perf_counter() + HELD
            asking = threading.Thread(target=http.get, args=(url,), kwargs={"headers": headers}, daemon=True)
            asking.start()
            while time.perf_counter() < until:
                try:
                    answered += httpx.get(url, headers=headers, timeout=0.5).status_code < 300
                except httpx.HTTPError:  # it waits for the database
                    continue
        ended = time.perf_counter()
        while httpx.get(url, headers=headers, timeout=60).status_code != 200:
            time.sleep(0.02)
        return answered, time.perf_counter() - ended


@contextmanager
def _held(config: Settings) -> Iterator[None]:
    if not config.database_url:
        holder = sqlite3.connect(config.var / "consent.db", isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        yield
        holder.close()
        return
    with create_engine(config.database_url).begin() as connection:
        connection.execute(text("LOCK TABLE consent_audit IN ACCESS EXCLUSIVE MODE"))
        yield


@contextmanager
def _closed(config: Settings) -> Iterator[None]:
    url = make_url(config.database_url)
    server = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f'ALTER DATABASE "{url.database}" WITH ALLOW_CONNECTIONS false'))
        ended = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
        connection.execute(ended, {"name": url.database})
        yield
        connection.execute(text(f'ALTER DATABASE "{url.database}" WITH ALLOW_CONNECTIONS true'))


def _neighbours(folder: Path, port: int, keyring: Keyring, seconds: int) -> Iterator[Line]:
    """One partner within its limit: alone, beside another within its own, and beside another that is refused most of the time.

    In turn, `ROUNDS` times; figures are the medians.
    """
    modest = raw(port, "GET", READ, X_API_Key=keyring.issue("partner", COMPANY, now()))
    other = raw(port, "GET", "/aggregated-data/jolda-travel", X_API_Key=keyring.issue("partner", "jolda-travel", now()))
    requests = folder / "greedy"
    requests.write_bytes(other)
    beside: dict[str, Callable[[], object]] = {
        "alone": lambda: None,
        f"… beside one at {LIMIT} requests/s, its limit": lambda: offered(port, other, LIMIT, seconds + 2),
        "… beside one that gets 429 as fast as it can ask": lambda: replayed(port, requests, seconds + 2),
    }
    offered(port, modest, OFFERED, 2)
    found: dict[str, list[Load]] = {what: [] for what in beside}
    for _ in range(ROUNDS):
        for what, asks in beside.items():
            found[what].append(_while(asks, partial(offered, port, modest, OFFERED, seconds)))
    p99 = {what: statistics.median(load.p99 for load in loads) for what, loads in found.items()}
    for what, loads in found.items():
        spread = ", ".join(f"{load.p99:.1f}" for load in loads)
        limit = 1.2 * p99["alone"] if "429" in what else None
        title = f"a partner at {OFFERED} requests/s, {what} ({spread})"
        yield Line(title, loads[0], p99[what], "ms", limit, more_is_better=False)


def _while(other: Callable[[], object], measured: Callable[[], Load]) -> Load:
    """What is measured while the other runs, from its second second on."""
    running = threading.Thread(target=other)
    running.start()
    time.sleep(1)
    load = measured()
    running.join()
    return load


if __name__ == "__main__":
    main()
