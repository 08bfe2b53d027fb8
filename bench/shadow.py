"""Does a challenger in shadow slow the champion's answers? `python -m bench.shadow` (under three minutes).

One fraud service, 500 payments a second offered by a second process, in turn without and with a challenger in the registry that
scores `shadow_share` of them. Of each side the median of the runs' 99th percentiles is compared: a single one is mostly luck.
"""

import argparse
import json
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

from bench.lines import Line
from bench.serving import OFFERED, PAYMENT, SINGLE, fraud_service
from bench.serving_load import Load, offered, raw
from bench.serving_models import challenge, promote, train, withdraw

_MOST = 1.1
_FOLLOWED_SECONDS = 6.0
"""Until the service has noticed, loaded and warmed a challenger, or let go of it."""


def main() -> None:
    """Measure both in turn and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8, help="of load for each run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        train(folder)
        promote(folder, folder / "var")
        alone, shadowed = _runs(folder, arguments.pairs, arguments.seconds)
        scored = _scored_in_shadow(folder / "var")
    print("| 500 payments a second offered | figure | p50, ms | p99, ms | promised |\n| --- | ---: | ---: | ---: | --- |")
    for title, runs in (("champion alone", alone), ("with a challenger in shadow", shadowed)):
        for run in runs:
            print(Line(title, run, run.rate, "requests/s"))
    print(Line("scored by the challenger meanwhile", None, scored, "rows", 1))
    ratio = statistics.median(run.p99 for run in shadowed) / statistics.median(run.p99 for run in alone)
    print(Line("median p99 with a challenger against without", None, ratio, "×", _MOST, more_is_better=False))


def _runs(folder: Path, pairs: int, seconds: int) -> tuple[list[Load], list[Load]]:
    alone, shadowed = [], []
    with fraud_service(folder) as (port, _process, _ready):
        request = raw(port, "POST", SINGLE, json.dumps(PAYMENT).encode())
        offered(port, request, OFFERED, seconds)  # warms the service up
        for _ in range(pairs):
            alone.append(offered(port, request, OFFERED, seconds))
            challenge(folder, folder / "var")
            time.sleep(_FOLLOWED_SECONDS)
            shadowed.append(offered(port, request, OFFERED, seconds))
            withdraw(folder / "var")
            time.sleep(_FOLLOWED_SECONDS)
    return alone, shadowed


def _scored_in_shadow(var: Path) -> int:
    with closing(sqlite3.connect(var / "journal.db")) as journal:
        return int(journal.execute("SELECT count(*) FROM journal WHERE source = 'shadow'").fetchone()[0])


if __name__ == "__main__":
    main()
