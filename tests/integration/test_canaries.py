"""Fifty clients go through the whole bank, and every file that it leaves is searched for them."""

import gzip
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import pandas as pd
import pytest

from registry import models
from settings import Settings
from tests.integration.canaries import CODES, ERASED, NAMES, PERSON_NUMBERS, PHONES
from tests.integration.traces import found_in

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
SURNAMES = {name.split()[0] for name in NAMES}
HOLDERS = {
    "raw": ("the bank's tables as they were delivered", {*CODES, *PERSON_NUMBERS, *PHONES}),
    "uploads": ("files that were uploaded, until the retention deletes them", {*CODES, *PHONES}),
    "lake": ("the tables, and the quarantine of their bad rows", {*CODES, *SURNAMES, *PERSON_NUMBERS, *PHONES}),
    "journal.db": ("every score with whose and from what, so that labels can be joined to it", {*CODES, *PHONES}),
    "online.db": ("what the services know of a client", {*CODES}),
    "consent.db": ("who consented to what, and how a client is told", {*CODES} - {*ERASED}),
}
"""The places under `var` that hold clients: why, and which canaries have to be found there. No other file may hold one."""
CLEAN = ("mlflow.db", "mlartifacts", "prefect", "evidently", "reports", "output", "answers", "withdrawals", "anchors")
"""Places that have to be there to be searched."""


@pytest.fixture(scope="module")
def var(prefect_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `var` of a bank through which the canaries went, its processes ended."""
    var = tmp_path_factory.mktemp("canaries")
    for folder in ("output", "answers", "withdrawals", "anchors", "prefect"):
        (var / folder).mkdir()
    shutil.copy(prefect_database, var / "prefect")
    models.client(Settings(var=var))  # as empty as Prefect's, and sooner migrated than by that process
    environment = {**os.environ, "OPORA_VAR": str(var), "PREFECT_HOME": str(var / "prefect"), "PYTHONPATH": str(ROOT)}
    environment["OPORA_STRANGER_RATE_PER_SECOND"] = "1000000"  # else most of the mistakes would meet the limit alone
    environment.pop("OPORA_DATABASE_URL", None)
    with _prefect(var, environment) as url:
        environment |= {"PREFECT_API_URL": url, "OPORA_PREFECT_API_URL": url}
        with (var / "output" / "flows.log").open("wb") as output:
            command = [sys.executable, "-m", "tests.integration.canary_bank"]
            done = subprocess.run(command, env=environment, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, timeout=550)
    assert done.returncode == 0, "".join(log.read_text()[-3000:] for log in (var / "output").glob("*.log"))
    return var


@contextmanager
def _prefect(var: Path, environment: dict[str, str]) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (var / "output" / "prefect.log").open("wb") as output:
        server = subprocess.Popen(command, env=environment, cwd=var, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_for(f"http://127.0.0.1:{port}/api/health")
        yield f"http://127.0.0.1:{port}/api"
    finally:
        server.terminate()
        server.wait(30)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 180
    with httpx.Client(timeout=2) as client:
        while time.monotonic() < deadline:
            try:
                if client.get(url).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.2)
    pytest.fail(f"{url} does not answer")


@pytest.fixture(scope="module")
def found(var: Path) -> dict[str, Counter[str]]:
    """What was found under each file and folder of `var`: by path, then by canary."""
    files = [path for path in sorted(var.rglob("*")) if path.is_file()]
    return {str(path.relative_to(var)): found_in(path) for path in files}


def _holder(path: str) -> str | None:
    place = Path(path).parts[0].removesuffix("-wal").removesuffix("-shm").removesuffix(".spools")
    return next((holder for holder in HOLDERS if place == holder), None)


def test_p23_no_canary_is_in_logs_mlflow_prefect_evidently_errors_or_exports(found: dict[str, Counter[str]]) -> None:
    assert {Path(path).parts[0] for path in found} >= set(CLEAN)
    leaks = {path: dict(hits.most_common(5)) for path, hits in found.items() if hits and _holder(path) is None}
    assert leaks == {}


@pytest.mark.parametrize("holder", HOLDERS)
def test_p23_the_places_that_hold_clients_are_seen_to_hold_them(found: dict[str, Counter[str]], holder: str) -> None:
    there = set().union(*(hits for path, hits in found.items() if _holder(path) == holder))
    _why, expected = HOLDERS[holder]
    assert expected - there == set()


def test_p21_who_was_erased_is_in_the_banks_own_places_only(found: dict[str, Counter[str]]) -> None:
    """In no row, page or log of the consent service, no artifact, report or export; tables and scores follow the bank's rules."""
    kept = {holder for path, hits in found.items() if set(ERASED) & set(hits) for holder in [_holder(path)]}
    assert {"raw", "lake", "journal.db", "online.db"} <= kept
    assert kept.isdisjoint({"consent.db", None})


def _as_sqlite(path: Path, text: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE packed (content BLOB)")
        connection.execute("INSERT INTO packed VALUES (?)", (gzip.compress(text.encode()),))


def _as_parquet(path: Path, text: str) -> None:
    pd.DataFrame({"cell": [text, "another"], "amount": [float(PHONES[0]), None]}).to_parquet(path, compression="zstd")


def _as_zip(path: Path, text: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.csv", text.encode("cp1251"))


_FORMS: dict[str, Callable[[Path, str], object]] = {
    "sqlite": _as_sqlite,
    "parquet": _as_parquet,
    "zip": _as_zip,
    "gzip": lambda path, text: path.write_bytes(gzip.compress(text.encode())),
    "utf-8": lambda path, text: path.write_text(text, encoding="utf-8"),
    "utf-16": lambda path, text: path.write_text(text, encoding="utf-16"),
    "utf-16-be": lambda path, text: path.write_text(text, encoding="utf-16-be"),
    "json": lambda path, text: path.write_text(json.dumps(text)),
    "address": lambda path, text: path.write_text(f"GET /?q={quote(text)}"),
}


@pytest.mark.parametrize("form", _FORMS)
def test_p23_a_canary_is_found_in_every_form(tmp_path: Path, form: str) -> None:
    _FORMS[form](tmp_path / "packed", f"{CODES[0]} {NAMES[0]} {PERSON_NUMBERS[0]} {PHONES[0]}")
    assert len(found_in(tmp_path / "packed")) >= 4


def test_p23_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "innocent").write_text("880229501 7075553 Канарейка KNR-8Q01")
    assert found_in(tmp_path / "innocent") == Counter()
