"""What BentoML's convenience and a durable journal cost: `python -m bench.serving` (needs wrk; under four minutes).

One worker each on the same machine in the same run, the same 300 trees, eight connections from a second process. The measured
service keeps every score durably (SQLite, synchronous=FULL, group commit) and looks its clients up; the others do not.
"""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import httpx

from bench.lines import Line
from bench.processes import Served, megabytes, served
from bench.serving_load import Load, offered, raw, wrk
from bench.serving_models import promote, train
from bentos.fraud.formats import ARROW, JSON, JSON_LINES

SINGLE, BATCH = "/api/v1/score_transaction", "/api/v1/score_batch"
ROWS, OFFERED = 1000, 500
PAYMENT: dict[str, Any] = {
    **{"client_id": "12345", "amount": 31000, "os_ver_cnt_30d": 2, "phone_model_cnt_30d": 1, "login_sessions_7d": 15},
    **{"login_sessions_30d": 80, "logins_per_day_7d": 1.5, "logins_per_day_30d": 1.2, "login_freq_change_7d_vs_30d": 0.1},
    **{"logins_7d_share_of_30d": 0.3, "avg_session_interval_30d": 60, "std_session_interval_30d": 5},
    **{"var_session_interval_30d": 25, "ewm_session_interval_7d": 30, "burstiness_sessions": 0.8},
    **{"fano_factor_sessions": 2.0, "zscore_interval_7d_vs_30d": -1.2},
}


def main() -> None:
    """Measure everything and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the services end with this process
    parser.add_argument("--seconds", type=int, default=10, help="of load for each line")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        train(folder)
        promote(folder, folder / "var")
        bodies = _bodies(folder)
        print("| score_transaction and score_batch | figure | p50, ms | p99, ms | promised |\n| --- | ---: | ---: | ---: | --- |")
        for line in chain(_single(folder, bodies, seconds), _two_workers(folder, bodies, seconds)):
            print(line, flush=True)


def _single(folder: Path, bodies: dict[str, Path], seconds: int) -> Iterator[Line]:
    rivals: dict[str, Load] = {}
    for name, title in (
        ("echo", "(a) bare ASGI echo"),
        ("plain", "(b) FastAPI (def) + LightGBM Booster, no log"),
        ("bare", "… the same as async def, for comparison"),
        ("prototype", "(c) FastAPI + joblib XGBoost on a DataFrame + a commit for each request"),
    ):
        with _served(_uvicorn(name), folder, SINGLE) as (port, _process, _ready):
            rivals[name] = _measured(port, SINGLE, bodies["single"], JSON, seconds)
        yield Line(title, rivals[name], rivals[name].rate, "requests/s")
    with fraud_service(folder) as (port, process, ready):
        ours = _measured(port, SINGLE, bodies["single"], JSON, seconds)
        yield Line("Opora under BentoML, durable journal", ours, ours.rate, "requests/s", rivals["plain"].rate)
        yield Line("… against (a)", None, ours.rate / rivals["echo"].rate, "×", 0.2)
        yield Line("… against (c)", None, ours.rate / rivals["prototype"].rate, "×", 30)
        for media_type, promised in ((JSON, 30_000.0), (JSON_LINES, 30_000.0), (ARROW, 100_000.0)):
            load = _measured(port, BATCH, bodies[media_type], media_type, seconds)
            yield Line(f"batches of {ROWS} as {media_type}", load, load.rate * ROWS, "rows/s", promised)
        paced = offered(port, raw(port, "POST", SINGLE, bodies["single"].read_bytes()), OFFERED, seconds)
        yield Line(f"p99 at {OFFERED} requests/s offered", paced, paced.p99, "ms", 20, more_is_better=False)
        yield Line("start to ready", None, ready, "s", 6, more_is_better=False)
        yield Line("memory of a worker after all this", None, megabytes(process), "MiB", 350, more_is_better=False)


def _two_workers(folder: Path, bodies: dict[str, Path], seconds: int) -> Iterator[Line]:
    rates = []
    for workers in (1, 2):
        with fraud_service(folder, OPORA_SERVING_WORKERS=str(workers)) as (port, _process, _ready):
            load = _measured(port, SINGLE, bodies["single"], JSON, seconds)
            rates.append(load.rate)
    yield Line("two workers against one", load, rates[1] / rates[0], "×", 1.7)


def _measured(port: int, path: str, body: Path, media_type: str, seconds: int) -> Load:
    url = f"http://127.0.0.1:{port}{path}"
    answer = httpx.post(url, content=body.read_bytes(), headers={"Content-Type": media_type}, timeout=60)
    answer.raise_for_status()
    wrk(url, body, media_type, 1)
    return wrk(url, body, media_type, seconds)


def _bodies(folder: Path) -> dict[str, Path]:
    """Request bodies by format as files: one payment, and a batch of different payments of different clients."""
    import pyarrow as pa

    items = [PAYMENT | {"client_id": str(index * 7), "amount": 100 + index * 10.5} for index in range(ROWS)]
    table = pa.Table.from_pylist(items)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    contents = {
        "single": json.dumps(PAYMENT).encode(),
        JSON: json.dumps({"items": items}).encode(),
        JSON_LINES: "\n".join(json.dumps(item) for item in items).encode(),
        ARROW: bytes(sink.getvalue()),
    }
    files = {name: folder / f"body{index}" for index, name in enumerate(contents)}
    for name, file in files.items():
        file.write_bytes(contents[name])
    return files


def _uvicorn(name: str) -> list[str]:
    return [sys.executable, "-m", "uvicorn", f"bench.serving_rivals:{name}", "--no-access-log", "--log-level", "warning"]


def fraud_service(folder: Path, **environment: str) -> Served:
    """The fraud service over the bank that `bench.serving_models` left in `folder`."""
    return _served([sys.executable, "-m", "bentoml", "serve", "bentos.fraud.service:FraudService"], folder, **environment)


def _served(command: list[str], folder: Path, ready_path: str = "/readyz", **environment: str) -> Served:
    known = {"BENCH_MODELS": str(folder), "BENTOML_HOME": str(folder / "bentoml"), "OPORA_LOG_LEVEL": "WARNING"}
    return served(command, folder, ready_path, **known, BENTOML_DO_NOT_TRACK="True", OMP_NUM_THREADS="1", **environment)


if __name__ == "__main__":
    main()
