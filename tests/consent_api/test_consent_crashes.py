"""Promises that outlive processes: what was acknowledged is there, what was read is audited, and all or nothing is said.

OPORA_KILLS and OPORA_CALLS set how often a service is killed and how many calls are checked against the audit log.
"""

import os
import random
import signal
import socket
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from shutil import which

import httpx
import pandas as pd
import psutil
import pytest
from sqlalchemy import create_engine, select, text

from clock import now
from consent_api import consents
from consent_api.audit import Actor
from consent_api.callers.credentials import Keyring
from consent_api.restore import read_log
from consent_api.store import Store
from consent_api.tables import AUDIT, EVENTS, RECORDS
from database import NotDurable, open_database
from edge.pepper import pepper
from features.online import OnlineStore
from settings import PROJECT, Settings
from tests.fork_server import ForkServer

pytestmark = pytest.mark.integration
KILLS = int(os.environ.get("OPORA_KILLS", "4"))
CALLS = int(os.environ.get("OPORA_CALLS", "160"))
CLIENTS = [f"K-{number}" for number in range(40)]
KIND = {"company": "dala-market", "data_types": ["category_spending"]}
SERVICE = """
import os, sys
import consent_api.app
del sys.modules["consent_api.app"], consent_api.app  # which is made anew for the environment of each service
from consent_api.__main__ import main
from settings import settings
os.setsid()
log = os.open(os.environ["OPORA_VAR"] + "/log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.dup2(log, 1)
os.dup2(log, 2)
settings.cache_clear()
main()
"""
"""What `python -m consent_api` does, in a process that leads a group of its own."""


@dataclass
class Bank:
    """A store that outlives the service processes on it, and keys of callers."""

    config: Settings
    store: Store
    keys: dict[str, str]
    port: int
    forks: ForkServer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        base = {"OPORA_VAR": str(self.config.var), "PYTHONPATH": str(PROJECT)}
        return {**base, "OPORA_DATABASE_URL": self.config.database_url, "OPORA_RATE_LIMIT_BURST": "1000000"}

    @contextmanager
    def service(self) -> Iterator[psutil.Process]:
        """A process of its own, ready; killed at the end if it lives."""
        forked = self.forks.python(SERVICE, "--port", str(self.port), environment=self.environment())
        with self._ready(psutil.Process(forked.pid), forked.communicate) as process:
            yield process

    @contextmanager
    def traced_service(self, *tracer: str) -> Iterator[psutil.Process]:
        """The same, run by a program that watches it."""
        command = [*tracer, sys.executable, "-m", "consent_api", "--port", str(self.port)]
        traced = psutil.Popen(command, env={**os.environ, **self.environment()}, start_new_session=True)
        with self._ready(traced, traced.wait) as process:
            yield process

    @contextmanager
    def _ready(self, process: psutil.Process, ended: Callable[[], object]) -> Iterator[psutil.Process]:
        try:
            self._wait(process)
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            ended()

    def _wait(self, process: psutil.Process) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert process.status() != psutil.STATUS_ZOMBIE, (self.config.var / "log").read_text()[-3000:]
            with suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            time.sleep(0.02)
        pytest.fail("the service did not get ready")


@pytest.fixture(scope="module")
def forks() -> Iterator[ForkServer]:
    with ForkServer("consent_api.app", "consent_api.__main__") as server:
        yield server


@pytest.fixture
def bank(store: Store, tmp_path: Path, forks: ForkServer) -> Bank:
    url = "" if store.engine.dialect.name == "sqlite" else store.engine.url.render_as_string(hide_password=False)
    config = Settings(var=tmp_path, database_url=url)
    online = OnlineStore(open_database(config.database("online")))
    online.write("profile", pd.DataFrame({"client_code": CLIENTS, "as_of": [pd.Timestamp(2026, 1, 1)] * len(CLIENTS)}))
    keyring = Keyring(store, pepper(config))
    keys = {client: keyring.issue("client", client, now()) for client in CLIENTS}
    keys["dala-market"] = keyring.issue("partner", "dala-market", now())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Bank(config, store, keys, port, forks)


def decide(http: httpx.Client, bank: Bank, client: str, wanted: bool) -> httpx.Response:
    headers = {"X-API-Key": bank.keys[client]}
    return http.post(f"{bank.url}/consent", json={"client_id": client, **KIND, "is_active": wanted}, headers=headers)


def until_killed(bank: Bank, client: str, acknowledged: list[tuple[str, str]]) -> None:
    """Give and withdraw in turn until the service is gone, keeping the record and state that each answer stated."""
    with httpx.Client(timeout=10) as http, suppress(httpx.HTTPError):
        for number in count():
            answer = decide(http, bank, client, number % 2 == 0)
            assert answer.status_code == 200, answer.text
            (record,) = answer.json()["consent"]["records"]
            acknowledged.append((record["record_id"], record["status"]))


def _wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_p10_no_acknowledged_decision_is_lost_when_the_process_is_killed(bank: Bank) -> None:
    """Each kill comes at a random moment of four clients' concurrent writes."""
    chance, acknowledged = random.Random(10), list[tuple[str, str]]()
    for _ in range(KILLS):
        known = len(acknowledged)
        with bank.service() as process, ThreadPoolExecutor(4) as pool:
            done = [pool.submit(until_killed, bank, client, acknowledged) for client in chance.sample(CLIENTS, 4)]
            _wait_until(lambda known=known: len(acknowledged) > known)
            time.sleep(chance.random() * 0.3)
            os.killpg(process.pid, signal.SIGKILL)
            for each in done:
                each.result()
    with bank.store.reading() as connection:
        written = {tuple(row) for row in connection.execute(select(EVENTS.c.record_id, EVENTS.c.state))}
    assert set(acknowledged) <= written
    logged = {line["record_id"] for line in read_log(bank.store.custody)}
    assert {record_id for record_id, state in acknowledged if state == "revoked"} <= logged


def test_p10_every_decision_is_forced_to_disk_before_it_is_acknowledged(bank: Bank, tmp_path: Path) -> None:
    """Killing a process cannot show it: the system calls do. Decisions one after another cannot share a commit."""
    strace = which("strace")
    if strace is None or bank.store.engine.dialect.name != "sqlite":
        pytest.skip("needs strace, and SQLite writes in the process itself")
    trace = tmp_path / "trace"
    with (
        bank.traced_service(strace, "-f", "-qq", "-e", "trace=fsync,fdatasync", "-o", str(trace)) as process,
        httpx.Client() as http,
    ):
        assert decide(http, bank, "K-0", True).status_code == 200
        before = len(trace.read_text().splitlines())
        for number in range(20):
            assert decide(http, bank, "K-0", number % 2 == 1).status_code == 200
        after = len(trace.read_text().splitlines())
        assert process.is_running()
    assert after - before >= 20 + 10  # each commit, and the log of the ten withdrawals besides


@pytest.mark.parametrize("weakened", ["synchronous_commit"])
def test_p10_a_postgresql_that_may_lose_commits_is_refused(server_url: str, weakened: str) -> None:
    url = f"{server_url}?options=-c%20{weakened}%3Doff"
    with pytest.raises(NotDurable, match=weakened):
        open_database(url).connect()


def calls(bank: Bank, seed: int, number_of_calls: int, seen: list[tuple[str, int, str]]) -> None:
    """Mixed calls, allowed and refused; what was answered is kept, and what was cut off is not."""
    chance, client = random.Random(seed), CLIENTS[seed]
    own, partner = {"X-API-Key": bank.keys[client]}, {"X-API-Key": bank.keys["dala-market"]}
    with httpx.Client(timeout=10) as http:
        asks = [
            lambda: decide(http, bank, client, chance.random() < 0.5),
            lambda: http.get(f"{bank.url}/client/{client}/consents", headers=own),
            lambda: http.get(f"{bank.url}/client/{client}/history", headers=own),
            lambda: http.get(f"{bank.url}/client/{CLIENTS[0]}/consents", headers=own),
            lambda: http.get(f"{bank.url}/aggregated-data/dala-market", headers=partner),
        ]
        while number_of_calls:
            try:
                answer = chance.choice(asks)()
            except httpx.HTTPError:
                time.sleep(0.05)  # the service is down
                continue
            seen.append((answer.headers["X-Request-Id"], answer.status_code, answer.request.method))
            number_of_calls -= 1


def test_p11_every_answer_has_exactly_its_audit_row_whatever_happens_to_the_process(bank: Bank) -> None:
    seen: list[tuple[str, int, str]] = []
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(calls, bank, seed, CALLS // 4, seen) for seed in range(1, 5)]
        while not all(future.done() for future in done):
            with bank.service():  # killed at the end
                time.sleep(0.5)
        for future in done:
            future.result()
    with bank.store.reading() as connection:
        rows = Counter(connection.scalars(select(AUDIT.c.request_id)))
        changes = set(connection.scalars(select(AUDIT.c.request_id).where(AUDIT.c.action.like("consent.%"))))
    assert [request_id for request_id, status, _ in seen if status < 500 and rows[request_id] != 1] == []
    assert {request_id for request_id, status, method in seen if status == 200 and method == "POST"} <= changes
    assert {status for _, status, _ in seen} >= {200, 403}


@contextmanager
def database_locked(bank: Bank) -> Iterator[None]:
    """Somebody holds the database and does not let go."""
    if bank.store.engine.dialect.name == "sqlite":
        holder = sqlite3.connect(bank.config.var / "consent.db", isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        yield
        holder.close()
        return
    with bank.store.engine.connect() as connection, connection.begin():
        connection.execute(text("LOCK TABLE consent_audit IN ACCESS EXCLUSIVE MODE"))
        yield


def test_p13_with_the_database_locked_no_partner_gets_anything_and_afterwards_all_is_well(bank: Bank) -> None:
    with bank.store.writing() as connection:
        wish = consents.Grant("K-1", "dala-market", "category_spending", "market_statistics")
        consents.grant(connection, [wish], Actor("test", "client"), now())
    headers = {"X-API-Key": bank.keys["dala-market"]}
    with bank.service(), httpx.Client(timeout=60) as http:
        ask = f"{bank.url}/aggregated-data/dala-market"
        assert http.get(ask, headers=headers).status_code == 200
        with ThreadPoolExecutor(8) as pool:
            with database_locked(bank):
                waiting = [pool.submit(http.get, ask, headers=headers) for _ in range(8)]
                time.sleep(1.0)
                answered_while_locked = [each.result() for each in waiting if each.done()]
            answers = [each.result() for each in waiting]
        assert {each.status_code for each in answered_while_locked} <= {503}
        assert {each.status_code for each in answers} <= {200, 503}
        assert [each for each in answers if each.status_code == 503 and b"data" in each.content.replace(b"database", b"")] == []
        deadline = time.monotonic() + 60
        while http.get(ask, headers=headers).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_p13_with_the_database_gone_nothing_is_answered_from_memory(bank: Bank) -> None:
    """SQLite's file is taken away; PostgreSQL ends every connection and admits no new one."""
    headers = {"X-API-Key": bank.keys["dala-market"]}
    with bank.service(), httpx.Client(timeout=60) as http:
        ask = f"{bank.url}/aggregated-data/dala-market"
        assert http.get(ask, headers=headers).status_code == 200
        with database_gone(bank):
            answers = [http.get(ask, headers=headers) for _ in range(5)]
        assert {each.status_code for each in answers} == {503}
        assert {each.json()["error"]["code"] for each in answers} == {"store_unavailable"}
        deadline = time.monotonic() + 60
        while http.get(ask, headers=headers).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@contextmanager
def database_gone(bank: Bank) -> Iterator[None]:
    if bank.store.engine.dialect.name == "sqlite":
        with bank.store.writing() as connection:
            connection.execute(text("ALTER TABLE consent_audit RENAME TO consent_audit_away"))
        yield
        with bank.store.writing() as connection:
            connection.execute(text("ALTER TABLE consent_audit_away RENAME TO consent_audit"))
        return
    name = bank.store.engine.url.database
    server = create_engine(bank.store.engine.url.set(database="postgres", query={}), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false'))
        connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name})
        yield
        connection.execute(text(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true'))
    server.dispose()


def test_p11_when_the_audit_row_cannot_be_written_the_answer_is_503_and_nothing_was_done(bank: Bank) -> None:
    with bank.service(), httpx.Client(timeout=60) as http:
        with bank.store.writing() as connection:
            connection.execute(text("ALTER TABLE consent_audit RENAME TO consent_audit_away"))
        answers = [
            decide(http, bank, "K-3", True),
            http.get(f"{bank.url}/client/K-3/consents", headers={"X-API-Key": bank.keys["K-3"]}),
            http.get(f"{bank.url}/client/K-4/consents", headers={"X-API-Key": bank.keys["K-3"]}),
        ]
        with bank.store.writing() as connection:
            connection.execute(text("ALTER TABLE consent_audit_away RENAME TO consent_audit"))
        assert [each.status_code for each in answers] == [503, 503, 503]
    with bank.store.reading() as connection:
        assert connection.execute(select(RECORDS.c.record_id).where(RECORDS.c.client_code == "K-3")).all() == []
